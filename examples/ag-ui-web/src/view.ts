/** How the page looks: messages, steps, state, interrupts. Owns the document; knows no protocol but its shapes. */
import type { Interrupt, Message, TokenUsage } from "@ag-ui/core";

const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

interface Wishes {
  readonly agent: string;
  onSend(text: string): void;
  onStop(): void;
  onAgent(name: string): void;
  onFresh(): void;
}

export function bind(wishes: Wishes): void {
  const text = at<HTMLTextAreaElement>("text");
  const composer = at<HTMLFormElement>("composer");
  const agent = at<HTMLInputElement>("agent");
  agent.value = wishes.agent;
  agent.addEventListener("change", () => wishes.onAgent(agent.value.trim() || wishes.agent));
  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if (said === "" || at<HTMLButtonElement>("send").hidden) return;
    text.value = "";
    wishes.onSend(said);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  at("stop").addEventListener("click", wishes.onStop);
  at("fresh").addEventListener("click", wishes.onFresh);
}

function status(text: string, state: string): void {
  const mark = at("status");
  mark.textContent = text;
  mark.dataset.state = state;
}

export function began(): void {
  status("running", "running");
  at("send").hidden = true;
  at("stop").hidden = false;
  at("steps").replaceChildren();
  at("interrupts").replaceChildren();
  at("problem").hidden = true;
}

export function ended(text: string, trouble?: string): void {
  status(text, text === "idle" ? "idle" : "waiting");
  at("send").hidden = false;
  at("stop").hidden = true;
  if (trouble !== undefined) problem(trouble);
}

export function problem(text: string): void {
  const place = at("problem");
  place.textContent = text;
  place.hidden = false;
}

export function clear(): void {
  for (const id of ["messages", "steps", "interrupts"]) at(id).replaceChildren();
  at("state").textContent = "";
  at("usage").textContent = "–";
  at("problem").hidden = true;
}

const textOf = (content: unknown): string => {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === undefined || content === null ? "" : JSON.stringify(content);
  return content.map((part: { text?: string }) => part.text ?? "").join("");
};

/** Each message keeps its element, so that a text grows in place. */
export function showMessages(messages: readonly Message[]): void {
  const list = at("messages");
  const known = new Map([...list.children].map((one) => [(one as HTMLElement).dataset.id, one as HTMLElement]));
  const wanted = messages.map((message) => {
    const item = known.get(message.id) ?? element("li", message.role);
    item.dataset.id = message.id;
    fill(item, message);
    return item;
  });
  if (wanted.some((item, i) => list.children[i] !== item) || list.children.length !== wanted.length) {
    list.replaceChildren(...wanted);
  }
  list.scrollTop = list.scrollHeight;
}

function fill(item: HTMLElement, message: Message): void {
  const body = textOf("content" in message ? message.content : "");
  const calls = message.role === "assistant" ? (message.toolCalls ?? []) : [];
  const face = JSON.stringify([body, calls]);
  if (item.dataset.face === face) return;
  item.dataset.face = face;
  if (message.role === "reasoning") {
    const details = element("details", "");
    details.append(element("summary", "", "Thoughts"), element("p", "thought", body));
    item.replaceChildren(details);
    return;
  }
  const parts = body === "" ? [] : [element("p", "body", body)];
  for (const { function: called } of calls) {
    const chip = element("p", "call");
    chip.append(element("b", "", called.name), element("code", "", called.arguments));
    parts.push(chip);
  }
  item.replaceChildren(...parts);
}

export function showState(state: unknown): void {
  const empty = state === null || (typeof state === "object" && Object.keys(state as object).length === 0);
  at("state").textContent = empty ? "" : JSON.stringify(state, null, 2);
}

export function stepStarted(name: string): void {
  const step = element("li", "open", name);
  step.dataset.step = name;
  at("steps").append(step);
}

export function stepFinished(name: string): void {
  const open = [...at("steps").children].findLast((one) => (one as HTMLElement).dataset.step === name);
  if (open !== undefined) open.className = "done";
}

export function showUsage(usage: readonly TokenUsage[]): void {
  const lines = usage.map(
    ({ model, inputTokens = 0, outputTokens = 0 }) =>
      `${model === undefined ? "" : `${model}: `}${inputTokens} in, ${outputTokens} out`,
  );
  at("usage").textContent = lines.join("\n") || "–";
}

/** A card for each, with a note and two buttons. */
export function showInterrupts(
  interrupts: readonly Interrupt[],
  answer: (interruptId: string, payload: { approved: boolean; note?: string }) => void,
): void {
  const cards = interrupts.map(({ id, reason, message }) => {
    const card = element("div", "interrupt");
    const note = document.createElement("input");
    note.placeholder = "A note (optional)";
    note.ariaLabel = "Note";
    const button = (label: string, approved: boolean): HTMLElement => {
      const made = element("button", approved ? "approve" : "reject", label);
      made.addEventListener("click", () => {
        answer(id, { approved, ...(note.value === "" ? {} : { note: note.value }) });
      });
      return made;
    };
    const buttons = element("div", "buttons");
    buttons.append(note, button("Reject", false), button("Approve", true));
    card.append(element("h3", "", reason), element("p", "question", message ?? ""), buttons);
    return card;
  });
  at("interrupts").replaceChildren(...cards);
}
