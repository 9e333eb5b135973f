/**
 * Expressions of workflows: CEL over JSON, by a library. Owns how JSON goes in and comes out, the
 * limits, and what happens when an expression looks into a value that is kept outside
 * (`needsValues`); not the scope's content.
 */
import { Environment } from "@marcbachmann/cel-js";
import type { Json, JsonObject } from "./effects.ts";
import { Budget, meter } from "./expression/budget.ts";
import { type Names, readNames } from "./expression/names.ts";
import { NeedsValues, Outside, wrapScope } from "./expression/outside.ts";
import { resultToJson } from "./expression/result.ts";

/** What an expression may name. `item` and `index` exist only for a stage with `for_each`. */
export const scopeNames = ["input", "context", "run", "stages", "item", "index"] as const;

export const expressionCharsMax = 4_096;

export type Evaluation =
  | { readonly value: Json }
  /** The outcome depends on a value that is kept outside: load it and evaluate again. */
  | { readonly needsValues: true }
  /** One line, with the place in the expression. */
  | { readonly error: string };

export type Checked =
  | ({ readonly ok: true; readonly type: string } & Names)
  | { readonly ok: false; readonly error: string };

interface Program {
  readonly checked: Checked;
  run(scope: Readonly<Record<string, unknown>>): unknown;
}

/** JSON knows one kind of number, which CEL reads as double; these let `item + 1` mean what it says. */
const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
};

function createEnvironment(): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: { maxAstNodes: 2_000, maxDepth: 64, maxListElements: 500, maxMapEntries: 500 },
  });
  for (const name of scopeNames) environment.registerVariable(name, "dyn");
  environment.registerType("Outside", Outside);
  for (const [op, calculate] of Object.entries(arithmetic)) {
    const mixed = (a: number | bigint, b: number | bigint) => calculate(Number(a), Number(b));
    environment.registerOperator(`double ${op} int: double`, mixed);
    environment.registerOperator(`int ${op} double: double`, mixed);
  }
  environment.registerOperator("double % double: double", (a: number, b: number) => a % b);
  return environment;
}

const environment = createEnvironment();

/** Pure memo of compiled programs: bounded, the oldest leaves first. */
const programs = new Map<string, Program>();
const programsMax = 2_000;

function compile(expression: string): Program {
  const known = programs.get(expression);
  if (known !== undefined) return known;
  const program = compileNew(expression);
  if (programs.size >= programsMax) {
    const oldest = programs.keys().next();
    if (!oldest.done) programs.delete(oldest.value);
  }
  programs.set(expression, program);
  return program;
}

function compileNew(expression: string): Program {
  const refused = (error: string): Program => ({
    checked: { ok: false, error },
    run() {
      throw new Error(error);
    },
  });
  if (expression.length > expressionCharsMax) return refused(`longer than ${expressionCharsMax} characters`);
  try {
    const parsed = environment.parse(expression);
    const names = readNames(parsed.ast);
    if ("error" in names) return refused(names.error);
    const result = parsed.check();
    if (!result.valid) return refused(describe(result.error, expression));
    const budget = new Budget();
    meter(parsed.ast, budget);
    return {
      checked: { ok: true, type: result.type ?? "dyn", ...names },
      run(scope) {
        budget.renew();
        return parsed(scope);
      },
    };
  } catch (error) {
    return refused(describe(error, expression));
  }
}

/** Parses and type-checks; tells which names it uses. */
export function checkExpression(expression: string): Checked {
  return compile(expression).checked;
}

/**
 * Evaluates over a scope of JSON. References to outside values (`{$blob}`) may pass through
 * untouched; looking into one gives `needsValues`. Never throws.
 */
export function evaluate(expression: string, scope: JsonObject): Evaluation {
  const program = compile(expression);
  if (!program.checked.ok) return { error: program.checked.error };
  const wrapped = wrapScope(scope, program.checked);
  try {
    const value = resultToJson(program.run(wrapped.scope), wrapped.unwrap);
    // A comparison can come out false without an error although it met an outside value.
    if (wrapped.met() && program.checked.compares) return { needsValues: true };
    return { value };
  } catch (error) {
    if (error instanceof NeedsValues || wrapped.met()) return { needsValues: true };
    return { error: describe(error, expression) };
  }
}

/** One line: what is wrong, and where. */
function describe(error: unknown, expression: string): string {
  const e = error as { summary?: unknown; message?: unknown; range?: { start: number; end: number } };
  const summary = String(e.summary ?? e.message ?? error).split("\n")[0] ?? "";
  if (e.range === undefined) return summary;
  const found = expression.slice(e.range.start, Math.max(e.range.end, e.range.start + 1)).slice(0, 60);
  return `${summary} at character ${e.range.start + 1}${found === "" ? "" : `: ${found.replace(/\s+/g, " ")}`}`;
}
