/**
 * Asks a human at the terminal for a checkpoint's decision. Owns the questions; not owned:
 * reading lines (lines.ts), the editor (editor.ts), sending the decision (decide.ts).
 */
import { z } from "zod";
import { edit } from "./editor.ts";
import { parseJson } from "./http.ts";
import { LineReader } from "./lines.ts";
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
  const form = formOf(checkpoint.required_schema, draftOf(checkpoint.instructions ?? ""));
  session.printAll(checkpointLines(checkpoint, session.canvas));
  const { paint } = session;
  const key = (letter: string, rest: string): string => `${paint("bold", `[${letter}]`)}${rest}`;
  const keys = [key("a", "pprove"), key("r", "eject"), ...(form === null ? [] : [key("e", `dit ${form.label}`)])];
  const question = `${[...keys, key("l", "ater")].join("  ")} > `;
  const lines = new LineReader(session, signal);
  try {
    for (;;) {
      const answer = await lines.ask(question);
      const decision = await decisionOf(answer === null ? "later" : answer.trim().toLowerCase(), session, lines, form);
      if (decision !== null) return decision;
    }
  } finally {
    lines.close();
  }
}

/** What an answer means, or null to ask again. */
async function decisionOf(
  answer: string,
  session: Session,
  lines: LineReader,
  form: InputForm | null,
): Promise<Decision | null> {
  if (answer === "a" || answer === "approve") return { kind: "approve" };
  if (answer === "l" || answer === "later") return { kind: "later" };
  if (answer === "r" || answer === "reject") {
    const note = await lines.ask("why (a note for the record): ");
    if (note === null) return null;
    return { kind: "reject", ...(note.trim() === "" ? {} : { note: note.trim() }) };
  }
  if (form !== null && (answer === "e" || answer === "edit")) {
    const input = await askInput(session, lines, form);
    return input === undefined ? null : { kind: "input", input };
  }
  return null;
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

/**
 * What is to be edited, by convention: what follows the first paragraph of the instructions
 * ("Read the draft…\n\n<draft>"). The human sees it in the editor before it is sent.
 */
export function draftOf(instructions: string): string {
  const cut = /\r?\n[ \t]*\r?\n/.exec(instructions);
  return cut === null ? "" : instructions.slice(cut.index + cut[0].length).trim();
}

/** A schema with one text field is answered with plain text, any other with JSON; no schema takes no input. */
export function formOf(schema: unknown, draft = ""): InputForm | null {
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
    return {
      label: name,
      draft: asText(field.default) || draft,
      parse: (text) => ({ [name]: text.replace(/\n$/, "") }),
    };
  }
  const whole = shape.success ? shape.data.default : undefined;
  if (shape.success && shape.data.type === "string") {
    return { label: "input", draft: asText(whole) || draft, parse: (text) => text.replace(/\n$/, "") };
  }
  const empty = Object.fromEntries(properties.map(([name, field]) => [name, field.default ?? null]));
  return { label: "input", draft: JSON.stringify(whole ?? empty, null, 2), parse: parseJson };
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

async function askInput(session: Session, lines: LineReader, form: InputForm): Promise<unknown> {
  const { editor } = session.environment;
  let text: string | null;
  if (editor === undefined || editor === "") {
    text = await lines.ask(`${form.label}: `, form.draft.includes("\n") ? "" : form.draft);
  } else {
    lines.pause();
    text = await edit(editor, form.draft);
  }
  if (text === null || text.trim() === "") {
    session.print("nothing given");
    return undefined;
  }
  if (text.trim() === form.draft.trim()) {
    session.print("nothing changed");
    return undefined;
  }
  const value = form.parse(text);
  if (value === undefined) session.print("that is not JSON");
  return value;
}
