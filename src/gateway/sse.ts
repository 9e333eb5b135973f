/**
 * A root's events as a stream of server-sent events: history first, then live, each once and in
 * order. Knows no dialect: the caller frames events. Backpressure is the consumer's pulling.
 */
import type { StoredEvent } from "../actors/client.ts";
import type { Services } from "./operation.ts";

/** Live events kept while history is read or the socket is blocked; more are read again from history. */
const liveMax = 256;
const historyPage = 200;
const comment = ":\n\n";

/** One event: `event:`, `id:` and one `data:` line, LF. JSON has no raw line ends. */
export function eventFrame(type: string, id: string, data: unknown): string {
  return `event: ${type}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** True when the Accept header names the event stream (a wildcard alone means JSON). */
export function acceptsEventStream(accept: string): boolean {
  return accept.split(",").some((part) => {
    const [type = "", ...params] = part.split(";").map((p) => p.trim().toLowerCase());
    return type === "text/event-stream" && !params.some((p) => /^q=0(\.0*)?$/.test(p));
  });
}

export interface RootEventsOptions {
  readonly root: string;
  /** The events begin after this number. */
  readonly after: number;
  /** The root is over: end when history is told. */
  readonly ended: boolean;
  readonly signal: AbortSignal;
}

export interface RootStreamOptions extends RootEventsOptions {
  /** The text for an event, or null for none; `last` ends the stream after it. */
  frame(event: StoredEvent): { readonly text: string; readonly last: boolean } | null;
}

/** Subscribes live, tells history, then what comes. Ends with the last event or when the signal aborts. */
export async function* rootStream(services: Services, options: RootStreamOptions): AsyncGenerator<string> {
  // Lets the headers go out before the first event.
  yield comment;
  for await (const event of rootEvents(services, options)) {
    if (event === "silence") {
      yield comment;
      continue;
    }
    const frame = options.frame(event);
    if (frame !== null) yield frame.text;
    if (frame?.last === true) return;
  }
}

/** A root's stored events: history, then live, each once and in order; `silence` after a heartbeat's time without any. */
export async function* rootEvents(
  services: Services,
  { root, after, ended, signal }: RootEventsOptions,
): AsyncGenerator<StoredEvent | "silence"> {
  const live = new LiveTail(services, signal);
  const stop = await services.hub.followRoot(root, (event) => live.push(event));
  let no = after;
  try {
    while (!signal.aborted) {
      const page = await services.runtime.history(root, no, historyPage);
      for (const event of page.events) {
        no = event.no;
        yield event;
        if (signal.aborted) return;
      }
      if (page.events.length > 0 && no < page.last) continue;
      if (ended) return;
      for (let next = await live.next(no); next !== "gap"; next = await live.next(no)) {
        if (next === "stop") return;
        if (next !== "silence") no = next.no;
        yield next;
      }
    }
  } finally {
    stop();
  }
}

/** Bounded live events of one root, asked for by number. */
class LiveTail {
  private events: StoredEvent[] = [];
  private lost = false;
  private wake: (() => void) | undefined;
  private readonly services: Services;
  private readonly signal: AbortSignal;

  constructor(services: Services, signal: AbortSignal) {
    this.services = services;
    this.signal = signal;
    signal.addEventListener("abort", () => this.wake?.(), { once: true });
  }

  push(event: StoredEvent): void {
    if (this.events.length >= liveMax) {
      this.events = [];
      this.lost = true;
    }
    if (!this.lost) this.events.push(event);
    this.wake?.();
  }

  /** The event `no + 1`; `gap`: read history; `silence`: nothing for a heartbeat's time; `stop`: aborted. */
  async next(no: number): Promise<StoredEvent | "gap" | "silence" | "stop"> {
    for (;;) {
      if (this.signal.aborted) return "stop";
      if (this.lost) {
        this.lost = false;
        return "gap";
      }
      while ((this.events[0]?.no ?? Number.POSITIVE_INFINITY) <= no) this.events.shift();
      const first = this.events[0];
      if (first !== undefined) {
        if (first.no === no + 1) return this.events.shift() as StoredEvent;
        this.events = [];
        return "gap";
      }
      if (await this.silence()) return "silence";
    }
  }

  /** True after a heartbeat's time without anything; false as soon as something happens. */
  private silence(): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (silent: boolean): void => {
        timer.cancel();
        this.wake = undefined;
        resolve(silent);
      };
      const timer = this.services.clock.after(this.services.limits.sseHeartbeatMs, () => done(true));
      this.wake = () => done(false);
    });
  }
}
