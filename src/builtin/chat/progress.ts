/**
 * What a chat run has made so far, and how it is told: saved with each finished message, so that the next attempt
 * goes on behind the last one, and streamed as it comes. Owns ids of messages; knows no model.
 */
import { createHash } from "node:crypto";
import type { AgentContext } from "../../actors/agent.ts";
import type { JsonObject } from "../../machines/effects.ts";
import { type ChatInput, type ChatMessage, type ChatOutput, plain, type Usage } from "./schema.ts";

/** A finished message is told in parts of so many characters at most: an event is small. */
const partCharsMax = 6_000;

interface Saved {
  readonly messages: readonly ChatMessage[];
  readonly usage: readonly Usage[];
  readonly state?: unknown;
  readonly approvals: Readonly<Record<string, { readonly approved: boolean; readonly note: string | null }>>;
}

export class Progress {
  readonly messages: ChatMessage[];
  readonly usage: Usage[];
  readonly approvals: Record<string, { approved: boolean; note: string | null }>;
  state: unknown;
  readonly #ctx: AgentContext;
  readonly #prefix: string;

  constructor(ctx: AgentContext, input: ChatInput) {
    this.#ctx = ctx;
    this.#prefix = `msg_${createHash("sha256")
      .update(`${ctx.runId ?? ctx.taskId}`)
      .digest("hex")
      .slice(0, 20)}`;
    const saved = ctx.saved as unknown as Saved | null;
    this.messages = [...(saved?.messages ?? input.before?.messages ?? [])];
    this.usage = [...(saved?.usage ?? input.before?.usage ?? [])];
    this.state = saved === null ? input.before?.state : saved.state;
    this.approvals = { ...saved?.approvals };
    const { before, answer } = input;
    if (saved === null && before?.interrupt && answer) {
      this.approvals[before.interrupt.toolCallId] = { approved: answer.approved, note: answer.note ?? null };
    }
  }

  /** The id of the next message: the same in every attempt. */
  nextId(): string {
    return `${this.#prefix}_${this.messages.length + 1}`;
  }

  /** A finished message joins what the next attempt will find, and everybody hears of it. */
  async add(message: ChatMessage, name: string, data: JsonObject): Promise<void> {
    this.messages.push(message);
    await this.#ctx.save(this.#toSave(), { name, data });
  }

  /** An assistant's text is told in parts, saved with the last. */
  async addText(message: ChatMessage, text: string): Promise<void> {
    const told = textEvents(message.id, text);
    for (const data of told.slice(0, -1)) this.#ctx.event("message_completed", data);
    await this.add(message, "message_completed", told.at(-1) as JsonObject);
  }

  /** As `addText`, for a message that is saved later (its tool calls follow). */
  tellText(messageId: string, text: string): void {
    for (const data of textEvents(messageId, text)) this.#ctx.event("message_completed", data);
  }

  output(more: Partial<ChatOutput> = {}): ChatOutput {
    const { messages, usage, state } = this;
    return { messages, usage, ...(state === undefined ? {} : { state }), pending: [], interrupt: null, ...more };
  }

  #toSave() {
    const { messages, usage, approvals, state } = this;
    return plain({ messages, usage, approvals, ...(state === undefined ? {} : { state }) });
  }
}

function textEvents(messageId: string, text: string): JsonObject[] {
  const parts = partsOf(text);
  return parts.map((part, i) => ({ messageId, part: i + 1, parts: parts.length, text: part }));
}

function partsOf(text: string): string[] {
  if (text.length <= partCharsMax) return [text];
  const parts: string[] = [];
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + partCharsMax);
    // Never between the halves of a surrogate pair.
    if (to < text.length && /[\uD800-\uDBFF]/.test(text[to - 1] ?? "")) to--;
    parts.push(text.slice(from, to));
    from = to;
  }
  return parts;
}

/** Live pieces of one message, sent as they come; `at` is a piece's place in the message. */
export class Stream {
  readonly #ctx: AgentContext;
  readonly #messageId: string;
  readonly #kind: "text" | "reasoning";
  #request = 1;
  #at = 0;

  constructor(ctx: AgentContext, messageId: string, kind: "text" | "reasoning") {
    this.#ctx = ctx;
    this.#messageId = messageId;
    this.#kind = kind;
  }

  /** `request`: a higher one begins the message anew. */
  push(text: string, request = 1): void {
    if (request !== this.#request) {
      this.#request = request;
      this.#at = 0;
    }
    const data = {
      messageId: this.#messageId,
      kind: this.#kind,
      attempt: this.#ctx.attempt,
      request,
      at: this.#at,
      text,
    };
    this.#at += text.length;
    this.#ctx.live("delta", data);
  }
}
