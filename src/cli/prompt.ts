/**
 * Asks a human at the terminal for a checkpoint's decision. Owns the questions and the editor;
 * not owned: sending the decision (decide.ts).
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { Interrupted } from "./exit.ts";
import { parseJson } from "./http.ts";
import type { Session } from "./session.ts";
import type { Checkpoint } from "./shapes.ts";
import { checkpointLines } from "./view.ts";

export type Decision =
  | { readonly kind: "approve"; readonly note?: string }
  | { readonly kind: "reject"; readonly note?: string }
  | { readonly kind: "input"; readonly input: unknown; readonly note?: string }
  | { readonly kind: "later" };

/** Shows the checkpoint and asks until there is a decision. Aborted by `signal` (its reason is thrown). */
export async function askDecision(session: Session, checkpoint: Checkpoint, signal: AbortSignal): Promise<Decision> {
  const form = formOf(checkpoint.required_schema);
  session.printAll(checkpointLines(checkpoint, session.canvas));
  const { paint } = session;
  const key = (letter: string, rest: string): string => `${paint("bold", `[${letter}]`)}${rest}`;
  const keys = [key("a", "pprove"), key("r", "eject"), ...(form === null ? [] : [key("e", `dit ${form.label}`)])];
  const question = `${[...keys, key("l", "ater")].join("  ")} > `;
  for (;;) {
    const answer = await ask(session, question, signal);
    const choice = answer === null ? "l" : answer.trim().toLowerCase();
    if (choice === "a" || choice === "approve") return { kind: "approve" };
    if (choice === "l" || choice === "later") return { kind: "later" };
    if (choice === "r" || choice === "reject") {
      const note = await ask(session, "why (a note for the record): ", signal);
      if (note !== null) return { kind: "reject", ...(note.trim() === "" ? {} : { note: note.trim() }) };
    }
    if (form !== null && (choice === "e" || choice === "edit")) {
      const input = await askInput(session, form, signal);
      if (input !== undefined) return { kind: "input", input };
    }
  }
}

/** How a human gives what the checkpoint's JSON Schema asks for. */
export interface InputForm {
  /** What is edited: the one text field's name, or `input`. */
  readonly label: string;
  /** What the editor begins with. */
  readonly draft: string;
  /** The value, or undefined when the text is not one. */
  parse(text: string): unknown;
}

const schemaShape = z.looseObject({
  type: z.string().optional(),
  default: z.unknown().optional(),
  required: z.array(z.string()).optional(),
  properties: z
    .record(z.string(), z.looseObject({ type: z.string().optional(), default: z.unknown().optional() }))
    .optional(),
});

/** A schema with one text field is answered with plain text, any other with JSON; no schema takes no input. */
export function formOf(schema: unknown): InputForm | null {
  if (schema === null || schema === undefined) return null;
  const shape = schemaShape.safeParse(schema);
  const properties = Object.entries(shape.success ? (shape.data.properties ?? {}) : {});
  const required = shape.success ? (shape.data.required ?? []) : [];
  const only =
    properties.length === 1
      ? properties[0]
      : properties.find(([name]) => required.length === 1 && required[0] === name);
  if (only !== undefined && only[1].type === "string") {
    const [name, field] = only;
    return { label: name, draft: asText(field.default), parse: (text) => ({ [name]: text.replace(/\n$/, "") }) };
  }
  const whole = shape.success ? shape.data.default : undefined;
  if (shape.success && shape.data.type === "string") {
    return { label: "input", draft: asText(whole), parse: (text) => text.replace(/\n$/, "") };
  }
  const empty = Object.fromEntries(properties.map(([name, field]) => [name, field.default ?? null]));
  return { label: "input", draft: JSON.stringify(whole ?? empty, null, 2), parse: parseJson };
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

async function askInput(session: Session, form: InputForm, signal: AbortSignal): Promise<unknown> {
  const { editor } = session.environment;
  const text =
    editor === undefined || editor === ""
      ? await ask(session, `${form.label}: `, signal)
      : await edit(editor, form.draft);
  if (text === null || text.trim() === "") {
    session.print("nothing given");
    return undefined;
  }
  const value = form.parse(text);
  if (value === undefined) session.print("that is not JSON");
  return value;
}

/** One line, or null at the end of input (Ctrl-D). */
function ask(session: Session, question: string, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const { stdin, stdout } = session.io;
    const lines = createInterface({ input: stdin, output: stdout, terminal: true });
    const onAbort = (): void => settle(() => reject(signal.reason));
    let open = true;
    const settle = (then: () => void): void => {
      if (!open) return;
      open = false;
      signal.removeEventListener("abort", onAbort);
      lines.close();
      then();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // In raw mode Ctrl-C is a key, not a signal.
    lines.on("SIGINT", () => {
      settle(() => reject(new Interrupted()));
      session.interrupt();
    });
    lines.on("close", () => {
      if (open) stdout.write("\n");
      settle(() => resolve(null));
    });
    lines.question(question, (answer) => settle(() => resolve(answer)));
  });
}

/** The text after the human has left the editor, or null when it failed. */
async function edit(editor: string, draft: string): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-"));
  const file = join(folder, "input.md");
  try {
    await writeFile(file, draft, { mode: 0o600 });
    const code = await new Promise<number>((resolve) => {
      const shell = process.platform === "win32";
      const child = shell
        ? spawn(`${editor} "${file}"`, { stdio: "inherit", shell: true })
        : spawn("sh", ["-c", `${editor} "$1"`, "sh", file], { stdio: "inherit" });
      child.on("error", () => resolve(1));
      child.on("exit", (status) => resolve(status ?? 1));
    });
    return code === 0 ? await readFile(file, "utf8") : null;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
