/**
 * What a chat run has made so far, and how it is told: saved with each finished message, so that the next attempt
 * goes on behind the last one, and streamed as it comes. Owns ids of messages; knows no model.
 */
import { createHash } from "node:crypto";
import jsonPatch from "fast-json-patch";
import type { AgentContext } from "../../actors/agent.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { isObject, jsonSize } from "../../machines/json.ts";
import { type ChatInput, type ChatMessage, type ChatOutput, plain, type Usage } from "./schema.ts";

/** What is finished is told in parts of so many characters at most: an event is small, escapes and all. */
const partCharsMax = 2_500;

/** What an event may hold, with room for its own; a larger change of the state is told with the run's end. */
const eventBytesMax = 15_000;

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
  /** The shared state; undefined: none of this run's making. */
  #state: unknown;
  readonly #given: unknown;
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
    // What an attempt that was cut off has spent counts as well; a turn before this one has counted its own.
    for (const one of saved?.usage.slice(input.before?.usage.length ?? 0) ?? []) {
      ctx.cost({ promptTokens: one.inputTokens, completionTokens: one.outputTokens, usd: one.usd ?? 0 });
    }
    this.#state = saved === null ? input.before?.state : saved.state;
    this.#given = input.state;
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

  tellReasoning(messageId: string, text: string): void {
    for (const data of textEvents(messageId, text)) this.#ctx.event("reasoning_completed", data);
  }

  /**
   * A message with what came of it: each event in parts by its `long` member, saved with the last of them. A new
   * state is in the same commit, so that a call that is cut off has changed nothing.
   */
  async addTold(
    message: ChatMessage,
    name: string,
    told: readonly JsonObject[],
    long: string,
    state: Json = this.state,
  ): Promise<void> {
    const events = told.flatMap((data) => inParts(data, long));
    const change = this.#changeState(state);
    const final = events.pop() as JsonObject;
    const fits = change !== undefined && jsonSize(final) + jsonSize(change) <= eventBytesMax;
    for (const data of events) this.#ctx.event(name, data);
    await this.add(message, name, fits ? { ...final, state: change } : final);
  }

  get state(): Json {
    return (this.#state === undefined ? (this.#given ?? null) : this.#state) as Json;
  }

  /** The next state, and how it is told: as the difference (RFC 6902); undefined: it is the same. */
  #changeState(next: Json): JsonObject | undefined {
    const before = this.state;
    if (JSON.stringify(before) === JSON.stringify(next)) return undefined;
    this.#state = next;
    if (!isObject(before) || !isObject(next)) return { snapshot: next };
    return { delta: jsonPatch.compare(before, next) as unknown as Json };
  }

  output(more: Partial<ChatOutput> = {}): ChatOutput {
    const { messages, usage } = this;
    const state = this.#state;
    return { messages, usage, ...(state === undefined ? {} : { state }), pending: [], interrupt: null, ...more };
  }

  #toSave() {
    const { messages, usage, approvals } = this;
    const state = this.#state;
    return plain({ messages, usage, approvals, ...(state === undefined ? {} : { state }) });
  }
}

const textEvents = (messageId: string, text: string): JsonObject[] => inParts({ messageId, text }, "text");

function inParts(data: JsonObject, long: string): JsonObject[] {
  const parts = partsOf(String(data[long]));
  return parts.map((part, i) => ({ ...data, part: i + 1, parts: parts.length, [long]: part }));
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
