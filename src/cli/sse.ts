/**
 * A run's events as they come, each once and in order, over any number of connections: resumes
 * with Last-Event-ID by itself. Owns the stream; not owned: what is shown (view.ts, follow.ts).
 */
import { createParser } from "eventsource-parser";
import type { Clock } from "../bus/clock.ts";
import { CliError } from "./exit.ts";
import type { Api } from "./http.ts";
import { checked, parseJson, unreachable } from "./http.ts";
import { Reconnect } from "./reconnect.ts";
import { endsRun, eventShape, isEnded, type RunEvent, runShape } from "./shapes.ts";

export interface EventStreamOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly runId: string;
  readonly stop: AbortSignal;
  /** Give up when the server has been away for this long. */
  readonly awayMsMax: number;
  readonly onEvent: (event: RunEvent) => void;
  readonly onAway: (away: boolean) => void;
}

/** A connection over which nothing comes for so long, not even a comment, is taken for dead. */
const silenceMsMax = 60_000;

/** Resolves when the run has ended and its last event was handed on; throws CliError, or the signal's reason. */
export async function followEvents(options: EventStreamOptions): Promise<void> {
  const { api, runId } = options;
  const reconnect = new Reconnect(options);
  const seen = new Set<string>();
  let last: string | undefined;
  let ended = false;
  const onMessage = (id: string | undefined, event: RunEvent): void => {
    last = id ?? event.event_id;
    reconnect.alive();
    if (seen.has(event.event_id)) return;
    seen.add(event.event_id);
    options.onEvent(event);
    ended ||= endsRun(event);
  };
  while (!ended) {
    let failure: unknown = null;
    try {
      await readOnce(
        options,
        last,
        () => reconnect.up(),
        onMessage,
        () => ended,
      );
      // Closed without an end: the server goes down, or the end came before `last`.
      if (!ended && isEnded(await api.get(`/v1/runs/${encodeURIComponent(runId)}`, runShape))) ended = true;
    } catch (error) {
      failure = error;
      // What we have seen is older than what the server replays: from the beginning, leaving out what was seen.
      if (error instanceof CliError && error.facts.code === "cursor_expired" && last !== undefined) {
        last = undefined;
        failure = null;
      }
    }
    if (!ended) await reconnect.down(failure);
  }
}

/** One connection, until the run has ended, or it closes or breaks. */
async function readOnce(
  options: EventStreamOptions,
  last: string | undefined,
  onOpen: () => void,
  onMessage: (id: string | undefined, event: RunEvent) => void,
  isDone: () => boolean,
): Promise<void> {
  const { api, clock, runId, stop } = options;
  const silence = new AbortController();
  const watch = (): { cancel(): void } =>
    clock.after(silenceMsMax, () => silence.abort(unreachable(api.base, new Error("silence"))));
  let timer = watch();
  const signal = AbortSignal.any([stop, silence.signal]);
  const parser = createParser({
    onEvent({ id, data }) {
      const event = checked(eventShape, parseJson(data));
      if (event !== undefined) onMessage(id, event);
    },
  });
  try {
    const headers = {
      Accept: "text/event-stream",
      ...api.credentials(),
      ...(last === undefined ? {} : { "Last-Event-ID": last }),
    };
    const response = await api.open(api.address(`/v1/runs/${encodeURIComponent(runId)}/events`), headers, signal);
    onOpen();
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      timer.cancel();
      timer = watch();
      parser.feed(decoder.decode(chunk, { stream: true }));
      if (isDone()) return;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof CliError ? error : unreachable(api.base, error);
  } finally {
    timer.cancel();
  }
}
