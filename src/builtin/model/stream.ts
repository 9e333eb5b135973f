/**
 * Owns reading a chat completion: server-sent events, or plain JSON from an endpoint that does
 * not stream. Knows no time-outs and no retries.
 */
import { createParser } from "eventsource-parser";
import { z } from "zod";
import { ModelFailure } from "./failure.ts";

export interface Completion {
  readonly text: string;
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

const chunkSchema = z.object({
  model: z.string().nullish(),
  choices: z
    .array(
      z.object({
        delta: z.object({ content: z.string().nullish() }).nullish(),
        message: z.object({ content: z.string().nullish() }).nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  usage: usageSchema.nullish().catch(null),
  error: z.union([z.string(), z.object({ message: z.string().optional() })]).nullish(),
});

interface Observer {
  onToken(): void;
  elapsedMs(): number;
}

class Collector {
  readonly #observer: Observer;
  #text = "";
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
    const piece = choice?.delta?.content ?? choice?.message?.content ?? "";
    if (piece !== "") this.#firstTokenMs ??= this.#observer.elapsedMs();
    this.#text += piece;
    this.#finishReason = choice?.finish_reason ?? this.#finishReason;
    if (this.#text.length > answerCharsMax) {
      throw new ModelFailure("model_malformed", `the answer is over ${answerCharsMax} characters`, {
        retryable: false,
      });
    }
  }

  finish(): Completion {
    if (!this.done && this.#finishReason === undefined) {
      throw new ModelFailure("model_unavailable", "the answer ended before it was complete", { retryable: true });
    }
    return {
      text: this.#text,
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
