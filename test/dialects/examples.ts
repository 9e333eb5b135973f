/**
 * The examples of a published contract: every code block of its text, in order, with the headings above it
 * (`examples/NNN.md`). Owns how they are read: HTTP exchanges, curl commands, JSON with `...` and placeholders. Each
 * must be taken by a test, or passed over with a reason: `left` says which were not.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Sent } from "./transcript.ts";

interface Block {
  readonly id: string;
  readonly language: string;
  readonly text: string;
}

export class Examples {
  private readonly blocks = new Map<string, Block>();
  private readonly used = new Set<string>();

  constructor(contract: "000" | "001" | "002" | "004") {
    const text = readFileSync(join(import.meta.dirname, "examples", `${contract}.md`), "utf8");
    for (const block of blocksOf(text)) this.blocks.set(block.id, block);
  }

  /** Ids that nobody has taken yet: the heading, and a number from its second block on. */
  left(): string[] {
    return [...this.blocks.keys()].filter((id) => !this.used.has(id));
  }

  /** Blocks that are not spoken on the wire. */
  pass(...ids: readonly string[]): void {
    for (const id of ids) this.text(id);
  }

  text(id: string): string {
    const block = this.blocks.get(id);
    if (block === undefined) throw new Error(`there is no example '${id}': ${[...this.blocks.keys()].join(", ")}`);
    this.used.add(id);
    return block.text;
  }

  /** A JSON block; `...` in it is left out. */
  // biome-ignore lint/suspicious/noExplicitAny: an example is any JSON
  json(id: string): any {
    return readJson(this.text(id));
  }

  /** The request of an `http` block: first line, headers, body. */
  http(id: string, values: Readonly<Record<string, string>> = {}): Sent {
    const [head = "", ...rest] = this.text(id).split("\n");
    const [method = "GET", path = "/"] = head.split(" ");
    const blank = rest.indexOf("");
    const body = blank < 0 ? "" : rest.slice(blank).join("\n").trim();
    return { method, path: filled(path, values), ...(body !== "" && { body: readJson(body) }) };
  }

  /** What an `http` block shows as the answer: the JSON right under its first line. */
  answer(id: string): unknown {
    return readJson(this.text(id).split("\n").slice(1).join("\n"));
  }

  /** The requests of a `bash` block's curl commands, in order. */
  curl(id: string, values: Readonly<Record<string, string>> = {}): Sent[] {
    const commands = this.text(id)
      .split("\n")
      .filter((line) => !line.startsWith("#"))
      .join("\n")
      .replace(/\\\n/g, " ")
      .split(/\n(?=\S)(?=curl|open|docker|wscat)/);
    return commands.filter((one) => one.startsWith("curl ")).map((one) => requestOf(one, values));
  }
}

function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  const seen = new Map<string, number>();
  let heading = "";
  let open: { language: string; lines: string[] } | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      if (open === undefined) open = { language: line.slice(3), lines: [] };
      else {
        const n = (seen.get(heading) ?? 0) + 1;
        seen.set(heading, n);
        blocks.push({
          id: n === 1 ? heading : `${heading} ${n}`,
          language: open.language,
          text: open.lines.join("\n"),
        });
        open = undefined;
      }
    } else if (open !== undefined) open.lines.push(line);
    else if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
  }
  return blocks;
}

function readJson(text: string): unknown {
  return JSON.parse(text.replace(/\{\.\.\.\}/g, "{}").replace(/\[\.\.\.\]/g, "[]"));
}

function filled(path: string, values: Readonly<Record<string, string>>): string {
  return path.replace(/\{([a-z_]+)\}|<([a-z_]+)>/g, (whole, curly, angle) => values[curly ?? angle] ?? whole);
}

/** Words as a shell reads them: quotes group, and are left out. */
function requestOf(command: string, values: Readonly<Record<string, string>>): Sent {
  const words = [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? "").slice(1);
  const headers: Record<string, string> = {};
  let method: string | undefined;
  let body: unknown;
  let path = "/";
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "-X") method = words.shift();
    else if (word === "-d") body = readJson(words.shift() ?? "");
    else if (word === "-H") {
      const [name = "", value = ""] = (words.shift() ?? "").split(": ");
      headers[name.toLowerCase()] = value;
    } else if (/^https?:/.test(word)) path = filled(word.replace(/^https?:\/\/[^/]+/, ""), values);
    else if (!word.startsWith("-")) break;
  }
  return { ...(method !== undefined && { method }), path, headers, ...(body !== undefined && { body }) };
}

/**
 * Where `got` has not the form of `example`: a member that is not there, or another type. Lists are as their first
 * element; null and empty objects and lists say nothing of what may stand there.
 */
export function departures(example: unknown, got: unknown, at = ""): string[] {
  if (example === null) return [];
  if (Array.isArray(example)) {
    if (!Array.isArray(got)) return [`${at}: a list, not ${typeof got}`];
    return example.length === 0 ? [] : got.flatMap((one, i) => departures(example[0], one, `${at}[${i}]`));
  }
  if (typeof example === "object") {
    if (typeof got !== "object" || got === null || Array.isArray(got)) return [`${at}: an object, not ${got}`];
    return Object.entries(example).flatMap(([key, value]) =>
      Object.hasOwn(got, key)
        ? departures(value, (got as Record<string, unknown>)[key], `${at}.${key}`)
        : [`${at}.${key}: is not there`],
    );
  }
  return typeof got === typeof example ? [] : [`${at}: a ${typeof example}, not ${JSON.stringify(got)}`];
}
