/**
 * The AG-UI events of one run as they happen: history first, then live, deltas in between. Every protocol (HTTP,
 * gRPC) frames these for itself. Stateless: any gateway gives the same. Owns the end of a stream: always exactly
 * one terminal event, unless the client goes first.
 */
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { RunView } from "../../machines/run/definition.ts";
import type { SessionView } from "../../machines/session/machine.ts";
import { flattened } from "../../machines/session/messages.ts";
import { readAfterEvent } from "../after-event.ts";
import { asTroupeError, errorBody } from "../errors.ts";
import type { Services } from "../operation.ts";
import { rootEvents } from "../sse.ts";
import { type AgUiEvent, EventType, runError, type TokenUsage } from "./events.ts";
import { Merged } from "./merged.ts";
import { Pieces } from "./pieces.ts";
import { type End, Translator, type TranslatorOptions } from "./translator.ts";

export interface RunStreamOptions extends TranslatorOptions {
  /** Key of the session's actor. */
  readonly session: string;
  readonly signal: AbortSignal;
  readonly correlationId: string;
  /** The run's live pieces, heard since before it began; default: from now on. */
  readonly pieces?: Pieces;
}

/** An event, and its place: the number of the stored event that it came with; 0 of a live one. */
export interface Placed {
  readonly event: AgUiEvent;
  readonly no: number;
}

/** The run's events from its beginning. Ends after the terminal event, or when the signal aborts. */
export async function* runStream(services: Services, options: RunStreamOptions): AsyncGenerator<Placed> {
  const { run, signal } = options;
  const translator = new Translator(options);
  const merged = new Merged<Placed>();
  const stopped = new AbortController();
  const until = AbortSignal.any([signal, stopped.signal]);
  let no = 0;
  const pieces = options.pieces ?? new Pieces(services.runtime, run, signal);
  pieces.tellTo((data) => {
    if (!merged.full) merged.offer(translator.live(data).map((event) => ({ event, no: 0 })));
  });
  const follow = async (): Promise<void> => {
    for await (const stored of rootEvents(services, { root: run, after: 0, ended: false, signal: until })) {
      if (stored === "silence") continue;
      no = stored.no;
      pieces.hold();
      const { events, replace, end } = translator.stored(stored);
      for (const event of events) {
        await merged.put({ event, no });
        if (event.type !== EventType.RUN_STARTED) continue;
        for (const event of await catchUp(services, options)) {
          if (event.type === EventType.MESSAGES_SNAPSHOT) translator.refresh(undefined);
          await merged.put({ event, no });
        }
      }
      if (replace) await merged.put({ event: await snapshot(services, options, translator), no });
      if (translator.begun) pieces.release();
      if (end === undefined) continue;
      for (const event of await lastEvents(services, options, translator, end)) await merged.put({ event, no });
      return;
    }
  };
  const followed = follow().then(
    () => merged.close(),
    (error: unknown) => merged.close(error),
  );
  signal.addEventListener("abort", () => merged.close(), { once: true });
  try {
    yield* merged.read();
  } catch (thrown) {
    if (signal.aborted) return;
    const error = asTroupeError(thrown, options.correlationId, services.logger);
    yield {
      event: runError(errorBody(error, options.correlationId).error.message, error.code, [], options.reader),
      no,
    };
  } finally {
    pieces.stop();
    stopped.abort();
    merged.close();
    await followed;
  }
}

/** What a client lacks of a chat's conversation and state as they were when the run began. */
async function catchUp(services: Services, options: RunStreamOptions): Promise<AgUiEvent[]> {
  const { known, chat, resumed, run } = options;
  if (known === undefined || !chat || resumed) return [];
  const view = (await readAfterEvent(services, address("run", run))) as unknown as RunView;
  const input = (await services.runtime.values.load(view.input)) as { messages?: JsonObject[]; state?: Json } | null;
  const messages = flattened(input?.messages ?? []);
  const state = input?.state ?? null;
  const events: AgUiEvent[] = [];
  // Clients keep the order of what they have; who has it scattered begins anew.
  if (known.scattered(messages)) events.push({ type: EventType.MESSAGES_SNAPSHOT, messages: [] });
  if (known.behind(messages)) events.push({ type: EventType.MESSAGES_SNAPSHOT, messages });
  if (state !== null && known.otherState(state)) events.push({ type: EventType.STATE_SNAPSHOT, snapshot: state });
  return events;
}

/** The conversation as it is stored, with what this run has finished so far. */
async function snapshot(services: Services, { session }: RunStreamOptions, translator: Translator): Promise<AgUiEvent> {
  const view = await sessionView(services, session);
  const stored = flattened((await services.runtime.values.load(view.messages as Json)) as unknown as JsonObject[]);
  const known = new Set<unknown>(stored.map(({ id }) => id));
  const messages = [...stored, ...translator.made().filter(({ id }) => !known.has(id))];
  return { type: EventType.MESSAGES_SNAPSHOT, messages };
}

const ended: ReadonlySet<string> = new Set(["succeeded", "failed", "canceled", "timed_out"]);

async function lastEvents(
  services: Services,
  options: RunStreamOptions,
  translator: Translator,
  end: End,
): Promise<AgUiEvent[]> {
  if (end.kind === "interrupted") return translator.finish(end, { usage: [] });
  const over = (now: unknown): boolean => ended.has((now as RunView).status);
  const view = (await readAfterEvent(services, address("run", options.run), over)) as unknown as RunView;
  const output = await services.runtime.values.load(view.output);
  const usage = usageOf(view, output);
  if (end.kind !== "completed") return translator.finish(end, { usage });
  if (!options.chat) return [...said(output, options), ...translator.finish(end, { usage, result: output })];
  const left = output as unknown as { state?: Json; pending?: { toolCallId: string }[] } | null;
  const pending = (left?.pending ?? []).map(({ toolCallId }) => toolCallId);
  const state =
    left?.state === undefined ? [] : [{ type: EventType.STATE_SNAPSHOT, snapshot: left.state } as AgUiEvent];
  return [...state, ...translator.finish(end, { usage, pending })];
}

/** What a workflow gives is also said, where it is text. */
function said(output: Json, { run }: RunStreamOptions): AgUiEvent[] {
  const text = textOf(output);
  if (text === "") return [];
  const messageId = `${run}-output`;
  return [
    { type: EventType.TEXT_MESSAGE_START, messageId, role: "assistant" },
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta: text },
    { type: EventType.TEXT_MESSAGE_END, messageId },
  ];
}

function textOf(output: Json): string {
  if (typeof output === "string") return output;
  if (typeof output !== "object" || output === null || Array.isArray(output)) return "";
  const { text, message, summary } = output as JsonObject;
  return [text, message, summary].find((value): value is string => typeof value === "string") ?? "";
}

/** A chat tells it by model; of other runs the sum is known. */
function usageOf(view: RunView, output: Json): TokenUsage[] {
  const told = (output as { usage?: TokenUsage[] } | null)?.usage;
  if (Array.isArray(told)) return summed(told);
  const { promptTokens, completionTokens } = view.cost;
  if (promptTokens === 0 && completionTokens === 0) return [];
  const total = promptTokens + completionTokens;
  return [{ inputTokens: promptTokens, outputTokens: completionTokens, totalTokens: total }];
}

function summed(entries: readonly TokenUsage[]): TokenUsage[] {
  const byModel = new Map<string, TokenUsage>();
  for (const { provider, model, inputTokens, outputTokens, totalTokens } of entries) {
    // What else an agent notes (money) is not AG-UI's, and its clients would warn.
    const names = { ...(provider === undefined ? {} : { provider }), ...(model === undefined ? {} : { model }) };
    const entry = { ...names, inputTokens, outputTokens, totalTokens } as TokenUsage;
    const key = `${entry.provider ?? ""}/${entry.model ?? ""}`;
    const before = byModel.get(key);
    byModel.set(key, before === undefined ? { ...entry } : added(before, entry));
  }
  return [...byModel.values()];
}

function added(a: TokenUsage, b: TokenUsage): TokenUsage {
  const sum = (field: "inputTokens" | "outputTokens" | "totalTokens") => (a[field] ?? 0) + (b[field] ?? 0);
  return {
    ...a,
    inputTokens: sum("inputTokens"),
    outputTokens: sum("outputTokens"),
    totalTokens: sum("totalTokens"),
  };
}

export async function sessionView(services: Services, key: string): Promise<SessionView> {
  const answer = await services.runtime.read(address("session", key)).catch((error: unknown) => {
    if (error instanceof TroupeError && error.code === "not_found") {
      throw new TroupeError("not_found", "There is no such session");
    }
    throw error;
  });
  return answer.view as unknown as SessionView;
}
