"""The Python worker against a real Troupe, whose address is in TROUPE_URL."""

import json
import os
import threading
import time
import unittest
import urllib.request

from examples.python_audit import audit
from troupe_worker import TaskFailure, TaskRejected, TaskWithdrawn, Worker

URL = os.environ["TROUPE_URL"]
ENDED = ("completed", "failed", "cancelled", "timed_out")


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def create(task_type, task_input, **fields):
    return call("POST", "/v1/tasks", {"task_type": task_type, "input": task_input, **fields})["task"]["task_id"]


def until(holds, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what} in vain")
        time.sleep(0.05)


def ended(task_id):
    def look():
        task = call("GET", f"/v1/tasks/{task_id}")
        return task if task["status"] in ENDED else None

    return until(look, f"the end of {task_id}")


class WorkerTest(unittest.TestCase):
    def work(self, agent_type, run, **options):
        worker = Worker(URL, agent_type, run, heartbeat=1.5, drain=0.1, **options)
        worker.start()
        self.addCleanup(worker.stop)
        return worker

    def test_example_does_real_work(self):
        self.work("python-audit", audit)
        source = "import os\nimport json\n\ndef f(x):\n    '''Doc.'''\n    return json.dumps(x) if x and x > 1 else 0\n"
        task = ended(create("python-audit", {"files": {"a.py": source, "b.py": "def ("}}))
        self.assertEqual(task["status"], "completed")
        report = task["output"]["files"]["a.py"]
        self.assertEqual(report["unused_imports"], ["os"])
        self.assertEqual(report["without_docstring"], ["module"])
        self.assertEqual(report["functions"], [{"name": "f", "line": 4, "length": 3, "complexity": 3}])
        self.assertIn("error", task["output"]["files"]["b.py"])
        bad = ended(create("python-audit", {}))
        self.assertEqual((bad["status"], bad["attempt"], bad["error"]["code"]), ("failed", 1, "bad_input"))

    def test_concurrency_progress_and_each_once(self):
        lock = threading.Lock()
        counts, now, most = {}, [0], [0]

        def square(task):
            with lock:
                counts[task.id] = counts.get(task.id, 0) + 1
                now[0] += 1
                most[0] = max(most[0], now[0])
            task.progress(0.5, "half")
            with lock:
                now[0] -= 1
            return task.input**2

        self.work("py-square", square, concurrency=2)
        ids = [create("py-square", n) for n in range(8)]
        self.assertEqual([ended(task_id)["output"] for task_id in ids], [n**2 for n in range(8)])
        self.assertLessEqual(most[0], 2)
        self.assertEqual(counts, {task_id: 1 for task_id in ids})

    def test_failure_and_giving_back(self):
        given_back = []

        def picky(task):
            if task.input == "never":
                raise TaskFailure("no_such_thing", "never", retryable=False)
            if not given_back:
                given_back.append(task.id)
                raise TaskRejected("not me")
            return "done"

        self.work("py-picky", picky)
        never = ended(create("py-picky", "never"))
        self.assertEqual((never["status"], never["attempt"], never["error"]["code"]), ("failed", 1, "no_such_thing"))
        back = ended(create("py-picky", "x", retry={"max_attempts": 1}))
        self.assertEqual((back["status"], back["output"]), ("completed", "done"))

    def test_what_json_cannot_hold_fails_the_task(self):
        self.work("py-odd", lambda task: {1, 2})
        task = ended(create("py-odd", None, retry={"max_attempts": 1}))
        self.assertEqual((task["status"], task["error"]["code"]), ("failed", "report_refused"))

    def test_cancellation_is_noticed(self):
        noticed = threading.Event()

        def patient(task):
            if task.withdrawn.wait(60):
                noticed.set()
            task.check()

        self.work("py-patient", patient)
        task_id = create("py-patient", None)
        until(lambda: call("GET", f"/v1/tasks/{task_id}")["status"] == "running", "the start")
        call("DELETE", f"/v1/tasks/{task_id}")
        self.assertTrue(noticed.wait(30))
        self.assertTrue(issubclass(TaskWithdrawn, Exception))
        self.assertEqual(call("GET", f"/v1/tasks/{task_id}")["status"], "cancelled")


class OutageTest(unittest.TestCase):
    """The test runner kills and restarts the server between the two lines of TROUPE_SIGNAL's folder."""

    @unittest.skipUnless("TROUPE_SIGNAL" in os.environ, "nobody is there to kill the server")
    def test_goes_on_after_the_server_was_killed(self):
        folder = os.environ["TROUPE_SIGNAL"]
        started, go = threading.Event(), threading.Event()
        runs = []

        def through(task):
            runs.append(task.id)
            started.set()
            go.wait(60)
            return "through"

        worker = Worker(URL, "py-through", through, agent_id="py-survivor", heartbeat=20.0, drain=0.1)
        worker.start()
        self.addCleanup(worker.stop)
        task_id = create("py-through", None)
        self.assertTrue(started.wait(60))
        open(os.path.join(folder, "kill-now"), "w").close()
        until(lambda: os.path.exists(os.path.join(folder, "killed")), "the kill")
        go.set()
        until(lambda: os.path.exists(os.path.join(folder, "restarted")), "the restart", 120)
        task = ended(task_id)
        self.assertEqual((task["status"], task["attempt"], task["output"]), ("completed", 1, "through"))
        self.assertEqual(ended(create("py-through", None))["status"], "completed")
        self.assertEqual(len(runs), 2)


if __name__ == "__main__":
    unittest.main()
