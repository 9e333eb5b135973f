/**
 * Owns finding what is left to do in a text: open task items, TODO marks (in code too), and
 * sentences that say what must be done.
 */
import type { Language } from "./language.ts";

export interface Todo {
  readonly text: string;
  readonly kind: "task" | "mark" | "action";
}

const todoCharsMax = 300;
const actionsMax = 10;

const mark = /\b(?:TODO|FIXME|XXX)\b(?:\([^)]{0,60}\))?\s*:?\s*(.*)$/;

/** Words that make a sentence a demand. A language without a row has no action sentences. */
const demands: Readonly<Record<string, RegExp>> = {
  eng: /\b(?:must|should|shall|needs? to|ha(?:s|ve) to|(?:is|are) required to|ought to)\b/i,
  deu: /\b(?:muss|müssen|soll|sollen|sollte|sollten|ist zu|sind zu)\b/i,
  fra: /\b(?:doit|doivent|devra|devrait|devraient|il faut)\b/i,
  spa: /\b(?:debe|deben|debería|deberían|hay que|tiene que|tienen que)\b/i,
  ita: /\b(?:deve|devono|dovrebbe|dovrebbero|bisogna)\b/i,
  por: /\b(?:deve|devem|deveria|deveriam|é preciso|tem que)\b/i,
  nld: /\b(?:moet|moeten|zou moeten|dient te)\b/i,
};

export function findTodos(
  source: string,
  tasks: readonly { readonly text: string; readonly done: boolean }[],
  sentences: readonly string[],
  language: Language,
): Todo[] {
  const todos: Todo[] = tasks.filter((task) => !task.done).map(({ text }) => ({ text, kind: "task" }));
  for (const line of source.split("\n")) {
    const found = line.length <= 2_000 ? mark.exec(line) : null;
    if (found === null || /^\s*[-*+]\s+\[[ xX]\]/.test(line)) continue;
    const text = (found[1] ?? "").replace(/\s*(?:\*\/|-->)\s*$/, "").trim();
    todos.push({ text: text === "" ? line.trim() : text, kind: "mark" });
  }
  const demand = demands[language];
  if (demand !== undefined) {
    const actions = sentences.filter((sentence) => sentence.length <= todoCharsMax && demand.test(sentence));
    for (const text of actions.slice(0, actionsMax)) todos.push({ text, kind: "action" });
  }
  return todos.map((todo) => ({ ...todo, text: clip(todo.text) }));
}

function clip(text: string): string {
  return text.length <= todoCharsMax ? text : `${text.slice(0, todoCharsMax - 1).trimEnd()}…`;
}
