/**
 * What a client has of a conversation when it asks: whole messages, and parts of messages and calls that an
 * earlier stream of the same run had shown when it broke. Owns the rule of what is not told again. Pure.
 */
import type { Json, JsonObject } from "../../machines/effects.ts";
import { isObject } from "../../machines/json.ts";

export class Known {
  readonly #texts = new Map<string, string>();
  readonly #calls = new Map<string, string>();
  readonly #ids = new Set<string>();
  readonly #state: Json | undefined;

  /** As the client sent them. */
  constructor(messages: readonly JsonObject[] = [], state?: Json) {
    this.#state = state;
    for (const { id, content, toolCalls } of messages) {
      if (typeof id !== "string") continue;
      this.#ids.add(id);
      if (typeof content === "string") this.#texts.set(id, content);
      for (const call of Array.isArray(toolCalls) ? toolCalls : []) {
        if (!isObject(call) || typeof call.id !== "string") continue;
        const text = isObject(call.function) ? call.function.arguments : undefined;
        this.#calls.set(call.id, typeof text === "string" ? text : "");
      }
    }
  }

  /** What it has been shown of a message's text; empty: nothing. */
  text(messageId: string): string {
    return this.#texts.get(messageId) ?? "";
  }

  has(messageId: string): boolean {
    return this.#ids.has(messageId);
  }

  /** What it lacks of a call's arguments; undefined: nothing, it has the call. */
  lacks(toolCallId: string, text: string): string | undefined {
    const known = this.#calls.get(toolCallId);
    if (known === undefined) return text;
    return text.startsWith(known) && text !== known ? text.slice(known.length) : undefined;
  }

  /** It has another state than this one. */
  otherState(state: Json): boolean {
    return JSON.stringify(state) !== JSON.stringify(this.#state ?? null);
  }

  /** It lacks one of these that stands before one that it has: a client that merges would put it behind. */
  scattered(conversation: readonly JsonObject[]): boolean {
    const has = ({ id }: JsonObject): boolean => typeof id === "string" && this.#ids.has(id);
    const first = conversation.findIndex((message) => !has(message));
    return first >= 0 && conversation.slice(first).some(has);
  }

  /** It lacks one of these, or has another text of what an agent said. */
  behind(conversation: readonly JsonObject[]): boolean {
    return conversation.some(({ id, role, content }) => {
      if (typeof id !== "string") return false;
      if (!this.#ids.has(id)) return true;
      return role === "assistant" && typeof content === "string" && content !== this.text(id);
    });
  }
}
