/**
 * Owns reading a chat completion: server-sent events, or plain JSON from an endpoint that does
 * not stream. Knows no time-outs and no retries.
 */
import { createParser } from "eventsource-parser";
import { z } from "zod";
import { ModelFailure } from "./failure.ts";

/** A tool that the model wants called; `arguments` is JSON text as the model wrote it. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** A piece of the answer, as it comes. */
export interface Delta {
  readonly kind: "text" | "reasoning";
  readonly text: string;
}

export interface Completion {
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  readonly model: string | undefined;
  readonly finishReason: string;
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number } | undefined;
  readonly firstTokenMs: number;
}

/** A longer answer is no answer. */
const answerCharsMax = 2_000_000;

const usageSchema = z
  .object({ prompt_tokens: z.number().min(0), completion_tokens: z.number().min(0).default(0) })
  .transform((usage) => ({ promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens }));

const callSchema = z.object({
  index: z.int().min(0).max(255).nullish(),
  id: z.string().nullish(),
  function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});
/** Endpoints name the reasoning in two ways. */
const partSchema = z.object({
  content: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  reasoning: z.string().nullish().catch(null),
  tool_calls: z.array(callSchema).nullish(),
});

const chunkSchema = z.object({
  model: z.string().nullish(),
  choices: z
    .array(
      z.object({
        delta: partSchema.nullish(),
        message: partSchema.nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  usage: usageSchema.nullish().catch(null),
  error: z.union([z.string(), z.object({ message: z.string().optional() })]).nullish(),
});

interface Observer {
  onToken(): void;
  onDelta?(delta: Delta): void;
  elapsedMs(): number;
}

class Collector {
  readonly #observer: Observer;
  #text = "";
  #reasoning = "";
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  #model: string | undefined;
  #finishReason: string | undefined;
  #usage: Completion["usage"];
  #firstTokenMs: number | undefined;
  done = false;

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  add(data: string): void {
    if (data.trim() === "[DONE]") {
      this.done = true;
      return;
    }
    const chunk = parseChunk(data);
    if (chunk.error !== undefined && chunk.error !== null) {
      const why = typeof chunk.error === "string" ? chunk.error : (chunk.error.message ?? "no reason given");
      throw new ModelFailure("model_unavailable", `the model's endpoint failed: ${why}`, { retryable: true });
    }
    this.#observer.onToken();
    this.#model ??= chunk.model ?? undefined;
    this.#usage = chunk.usage ?? this.#usage;
    const [choice] = chunk.choices;
    const part = choice?.delta ?? choice?.message;
    this.#take("text", part?.content ?? "");
    this.#take("reasoning", part?.reasoning_content ?? part?.reasoning ?? "");
    for (const call of part?.tool_calls ?? []) this.#call(call);
    this.#finishReason = choice?.finish_reason ?? this.#finishReason;
  }

  #take(kind: Delta["kind"], text: string): void {
    if (text === "") return;
    this.#firstTokenMs ??= this.#observer.elapsedMs();
    if (kind === "text") this.#text += text;
    else this.#reasoning += text;
    this.#bound();
    this.#observer.onDelta?.({ kind, text });
  }

  /** Calls come in pieces that name their place; without one, an id begins a new call. */
  #call(piece: z.infer<typeof callSchema>): void {
    this.#firstTokenMs ??= this.#observer.elapsedMs();
    const fresh = piece.id !== undefined && piece.id !== null && piece.id !== this.#calls.at(-1)?.id;
    const at = piece.index ?? (fresh ? this.#calls.length : Math.max(0, this.#calls.length - 1));
    while (this.#calls.length <= at) this.#calls.push({ id: "", name: "", arguments: "" });
    const call = this.#calls[at] as { id: string; name: string; arguments: string };
    if (piece.id) call.id = piece.id;
    if (piece.function?.name) call.name = call.name === "" ? piece.function.name : call.name;
    call.arguments += piece.function?.arguments ?? "";
    this.#bound();
  }

  #bound(): void {
    const chars = this.#text.length + this.#reasoning.length + (this.#calls.at(-1)?.arguments.length ?? 0);
    if (chars <= answerCharsMax) return;
    throw new ModelFailure("model_malformed", `the answer is over ${answerCharsMax} characters`, { retryable: false });
  }

  finish(): Completion {
    if (!this.done && this.#finishReason === undefined) {
      throw new ModelFailure("model_unavailable", "the answer ended before it was complete", { retryable: true });
    }
    return {
      text: this.#text,
      reasoning: this.#reasoning,
      toolCalls: this.#calls.filter(({ name }) => name !== ""),
      model: this.#model,
      finishReason: this.#finishReason ?? "stop",
      usage: this.#usage,
      firstTokenMs: this.#firstTokenMs ?? this.#observer.elapsedMs(),
    };
  }
}

function parseChunk(data: string): z.infer<typeof chunkSchema> {
  try {
    return chunkSchema.parse(JSON.parse(data));
  } catch (cause) {
    throw new ModelFailure("model_malformed", "the model's endpoint sent what is no chat completion", {
      retryable: true,
      cause,
    });
  }
}

/** Reads to the end, or to `[DONE]`. Throws ModelFailure; with an aborted signal, its reason. */
export async function readCompletion(response: Response, observer: Observer): Promise<Completion> {
  const collector = new Collector(observer);
  if (response.headers.get("content-type")?.includes("application/json")) {
    collector.add(await response.text());
    collector.done = true;
    return collector.finish();
  }
  if (response.body === null) throw new ModelFailure("model_unavailable", "the answer is empty", { retryable: true });
  const parser = createParser({ onEvent: (event) => collector.add(event.data), maxBufferSize: answerCharsMax });
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    if (collector.done) break;
  }
  return collector.finish();
}
