/**
 * A run's input from the command line: `--input`, `--file`, `--set`. Owns their reading and how
 * they are put together. Nothing here talks to the server.
 */
import { readFile } from "node:fs/promises";
import { addAbortSignal } from "node:stream";
import { localError } from "./artifacts.ts";
import { usageError } from "./exit.ts";
import type { InputStream } from "./io.ts";

/** Where `-` reads from, and what breaks off the reading. */
export interface Source {
  readonly io: { readonly stdin: InputStream };
  readonly stop: AbortSignal;
}

export interface InputFlags {
  /** JSON, `@file` or `-` (stdin). */
  readonly input?: string;
  /** A text file, or `-`: becomes `input.text`. */
  readonly file?: string;
  /** `path.to=value`, each. */
  readonly set?: readonly string[];
}

/** The input, or undefined when no flag gives one. Throws a usage error. */
export async function readInput(flags: InputFlags, source: Source): Promise<unknown> {
  if (flags.input === "-" && flags.file === "-") throw usageError("--input and --file cannot both read from stdin");
  let input = flags.input === undefined ? undefined : await readJson(flags.input, source, "--input");
  if (flags.file === undefined && (flags.set ?? []).length === 0) return input;
  input ??= {};
  if (!isObject(input)) throw usageError("--file and --set need an --input that is a JSON object");
  if (flags.file !== undefined) input.text = await readText(flags.file, source);
  for (const assignment of flags.set ?? []) assign(input, assignment);
  return input;
}

/** JSON as it stands, from `@file`, or from stdin by `-`. */
export async function readJson(from: string, source: Source, flag: string): Promise<unknown> {
  const text = from === "-" || from.startsWith("@") ? await readText(from.replace(/^@/, ""), source) : from;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    const advice = "Give JSON, @file or - (stdin); a text needs quotes of its own: '\"text\"'.";
    throw usageError(`${flag} is not JSON: ${why}`, advice);
  }
}

/** A UTF-8 text file, or stdin by `-`. */
export async function readText(path: string, source: Source): Promise<string> {
  const content =
    path === "-"
      ? await readAll(source)
      : await readFile(path, { signal: source.stop }).catch((error: unknown) =>
          Promise.reject(localError(error, path)),
        );
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    throw usageError(`${path === "-" ? "stdin" : path} is not UTF-8 text`, "Convert it to text first.");
  }
}

async function readAll({ io, stop }: Source): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  const stdin = addAbortSignal(stop, io.stdin);
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** `a.b=value`: the value is JSON when it reads as JSON (true, 3, [1]), else text. */
export function assign(target: Record<string, unknown>, assignment: string): void {
  const cut = assignment.indexOf("=");
  if (cut <= 0) throw usageError(`--set needs key=value, got ${assignment}`);
  const path = assignment.slice(0, cut).split(".");
  const last = path.pop() ?? "";
  let place = target;
  for (const name of path) {
    const next = Object.hasOwn(place, name) ? place[name] : undefined;
    if (next !== undefined && !isObject(next)) throw usageError(`--set ${assignment}: ${name} is not an object`);
    const child = next ?? {};
    define(place, name, child);
    place = child;
  }
  define(place, last, parseValue(assignment.slice(cut + 1)));
}

/** As an own property, also when it is called `__proto__`. */
function define(place: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(place, name, { value, enumerable: true, configurable: true, writable: true });
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `k=v` pairs as an object of texts. */
export function readPairs(pairs: readonly string[], flag: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const cut = pair.indexOf("=");
      if (cut <= 0) throw usageError(`${flag} needs key=value, got ${pair}`);
      return [pair.slice(0, cut), pair.slice(cut + 1)];
    }),
  );
}
