/**
 * JSON Schemas written by users: compiled once per content (ajv, draft 2020-12 and draft-07), within
 * bounds, and values checked against them with places. Remote references are refused. The gateway checks
 * what comes in with it, the runtime what a run puts out; it knows nobody.
 */

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormatsModule from "ajv-formats";
import { LRUCache } from "lru-cache";

const schemaCharsMax = 256 * 1024;
const patternCharsMax = 512;
const compiledMax = 500;

// A pattern of a user may backtrack without end; V8 then changes over to its linear engine.
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");

export interface SchemaProblem {
  /** `input.items[0].name`. */
  readonly path: string;
  readonly message: string;
}

/** What was given is no usable JSON Schema; the message says why. */
export class UnusableSchema extends Error {
  override readonly name = "UnusableSchema";
}

export interface JsonSchemas {
  /** Throws UnusableSchema. */
  check(schema: unknown): void;
  /** Where (below `root`) the value departs from the schema; empty: it fits. Throws UnusableSchema. */
  problems(schema: unknown, value: unknown, root: string): SchemaProblem[];
}

export function newJsonSchemas(): JsonSchemas {
  const ajv = newAjv();
  const compiled = new LRUCache<string, ValidateFunction>({ max: compiledMax });
  // Schemas in records are immutable objects: by identity there is no hash to take.
  const byIdentity = new WeakMap<object, ValidateFunction>();
  const compile = (schema: unknown): ValidateFunction => {
    const isObject = typeof schema === "object" && schema !== null;
    if (!isObject && typeof schema !== "boolean") throw new UnusableSchema("is not an object or boolean");
    const known = isObject ? byIdentity.get(schema) : undefined;
    if (known !== undefined) return known;
    const text = JSON.stringify(schema);
    const hash = createHash("sha256").update(text).digest("hex");
    let validate = compiled.get(hash);
    if (validate === undefined) {
      validate = compileWith(ajv, schema, text);
      compiled.set(hash, validate);
    }
    if (isObject) byIdentity.set(schema, validate);
    return validate;
  };
  return {
    check: (schema) => void compile(schema),
    problems(schema, value, root) {
      const validate = compile(schema);
      if (validate(value) === true) return [];
      return (validate.errors ?? []).map((error) => problem(error, root));
    },
  };
}

type AddFormats = (ajv: Ajv2020) => Ajv2020;

function newAjv(): Ajv2020 {
  const ajv = new Ajv2020({
    strict: false,
    allErrors: false,
    addUsedSchema: false,
    validateFormats: true,
    logger: false,
    code: { regExp: Object.assign(guardedPattern, { code: "guardedPattern" }) },
  });
  const draft7: unknown = createRequire(import.meta.url)("ajv/dist/refs/json-schema-draft-07.json");
  ajv.addMetaSchema(draft7 as object);
  (addFormatsModule as unknown as AddFormats)(ajv);
  return ajv;
}

/**
 * V8's linear engine takes over patterns without the flag `u`, look-around and back-references.
 * So the flag is only set where the pattern needs it, and what stays on the backtracking engine
 * may not repeat a group that repeats or alternates inside.
 */
function guardedPattern(source: string): RegExp {
  if (source.length > patternCharsMax) throw new Error(`a pattern is longer than ${patternCharsMax} characters`);
  const needsUnicode = /\\[pP]\{|\\u\{|[\ud800-\udfff]/.test(source);
  const backtracks = needsUnicode || /\(\?<?[=!]|\\[1-9]|\\k</.test(source);
  if (backtracks && repeatsRepetition(source))
    throw new Error("a pattern repeats a group that itself repeats or alternates");
  return new RegExp(source, needsUnicode ? "u" : "");
}

/** True when a quantified group holds a quantifier or an alternative. */
function repeatsRepetition(source: string): boolean {
  const plain = source.replace(/\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|.)/gs, "x").replace(/\[[^\]]*\]/g, "x");
  const open: boolean[] = [false];
  for (let i = 0; i < plain.length; i++) {
    const c = plain[i] as string;
    if (c === "(") {
      open.push(false);
      if (plain[i + 1] === "?") i++;
    } else if (c === ")") {
      const inner = open.pop() === true;
      const quantified = /[*+{]/.test(plain[i + 1] ?? "");
      if (inner && quantified) return true;
      if ((inner || quantified) && open.length > 0) open[open.length - 1] = true;
    } else if (/[*+{|]/.test(c)) open[open.length - 1] = true;
  }
  return false;
}

function compileWith(ajv: Ajv2020, schema: object | boolean, text: string): ValidateFunction {
  if (text.length > schemaCharsMax) throw new UnusableSchema(`is larger than ${schemaCharsMax} characters`);
  try {
    return ajv.compile(schema);
  } catch (error) {
    throw new UnusableSchema(`is not a usable JSON Schema: ${(error as Error).message}`);
  } finally {
    if (typeof schema === "object") ajv.removeSchema(schema);
  }
}

/** `/items/0/name` → `input.items[0].name`, with the unknown or missing field's own name. */
function problem(error: ErrorObject, root: string): SchemaProblem {
  const tokens = error.instancePath
    .split("/")
    .slice(1)
    .map((t) => t.replaceAll("~1", "/").replaceAll("~0", "~"));
  const params = error.params as Record<string, unknown>;
  const extra = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty;
  if (typeof extra === "string") tokens.push(extra);
  const path = root + tokens.map((t) => (/^\d+$/.test(t) ? `[${t}]` : `.${t}`)).join("");
  const allowed = error.keyword === "enum" ? `: ${JSON.stringify(params.allowedValues)}` : "";
  return { path, message: `${error.message ?? error.keyword}${allowed}` };
}
