"""A worker that does real work: tasks of type ``python-audit`` hold Python sources; what comes out is
each function's length and branching, what lacks a docstring, and names that are imported and never used.

    python3 clients/python/examples/python_audit.py http://127.0.0.1:8000
    curl -s http://127.0.0.1:8000/v1/tasks -H 'Content-Type: application/json' \\
      -d '{"task_type":"python-audit","input":{"files":{"a.py":"import os\\ndef f(x):\\n  return x if x else 1\\n"}}}'

TROUPE_API_KEY is its key, where the server wants one.
"""

import ast
import logging
import os
import sys
from typing import Any, Dict, Iterator, List, Union

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from troupe_worker import Task, TaskFailure, Worker  # noqa: E402

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension)


def complexity(function: Function) -> int:
    """McCabe's number: 1, and 1 for each branch and each further operand of and/or."""
    total = 1
    for node in ast.walk(function):
        if isinstance(node, _BRANCHES):
            total += 1
        elif isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
    return total


def functions_of(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def unused_imports(tree: ast.AST) -> List[str]:
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                imported[(alias.asname or alias.name).split(".")[0]] = alias.name
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    exported = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return sorted(full for name, full in imported.items() if name not in used | exported and name != "*")


def audit_file(source: str) -> Dict[str, Any]:
    tree = ast.parse(source)
    functions = list(functions_of(tree))
    described = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef))] + functions
    return {
        "lines": len(source.splitlines()),
        "functions": [
            {
                "name": function.name,
                "line": function.lineno,
                "length": (function.end_lineno or function.lineno) - function.lineno + 1,
                "complexity": complexity(function),
            }
            for function in functions
        ],
        "without_docstring": [getattr(node, "name", "module") for node in described if ast.get_docstring(node) is None],
        "unused_imports": unused_imports(tree),
    }


def audit(task: Task) -> Dict[str, Any]:
    """The worker's function."""
    files = task.input.get("files") if isinstance(task.input, dict) else None
    if not isinstance(files, dict) or not files:
        raise TaskFailure("bad_input", "the input needs a field files with names and sources", retryable=False)
    report: Dict[str, Any] = {}
    for number, (name, source) in enumerate(sorted(files.items())):
        # Raises TaskWithdrawn when the task is not wanted any more.
        task.progress(number / len(files), name)
        try:
            report[name] = audit_file(str(source))
        except (SyntaxError, ValueError) as error:
            report[name] = {"error": str(error)}
    all_functions = [function for one in report.values() for function in one.get("functions", [])]
    return {
        "files": report,
        "functions": len(all_functions),
        "most_complex": max(all_functions, key=lambda one: one["complexity"], default=None),
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    worker = Worker(
        url,
        agent_type="python-audit",
        run=audit,
        api_key=os.environ.get("TROUPE_API_KEY"),
        capabilities=["python"],
        concurrency=2,
    )
    worker.start()
    print(f"{worker.agent_id} takes tasks; Ctrl-C ends", flush=True)
    worker.run_forever()
