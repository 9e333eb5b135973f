/**
 * The event feed of one process: follows every journal stream in order and gives the stored events to
 * whoever asked for their pattern. Who comes with a cursor reads the journal from there and joins the live feed
 * at the very message where it stands, so that nothing is missed or doubled.
 */
import type { Bus } from "../bus/bus.ts";
import type { Codec } from "../bus/codec.ts";
import type { Follower, JournalMessage } from "../bus/journal.ts";
import type { Feed, FeedEvent } from "./client.ts";
import { decodeCursor, encodeCursor, type FeedPosition } from "./cursor.ts";
import { decodeHead } from "./group.ts";
import type { Logger } from "./limits.ts";
import { matches, parsePattern, subjectOf } from "./pattern.ts";
import { type Announced, RecentMessages } from "./recent.ts";
import { readStretch, requireWindow } from "./replay.ts";

interface Listener {
  readonly tokens: readonly string[];
  readonly onEvent: (e: FeedEvent) => void;
  /** Aborted: gets nothing more. */
  readonly signal: AbortSignal;
}

/** Live messages that come while somebody reads history. */
interface Tap {
  messages: { readonly stream: number; readonly message: JournalMessage }[];
  bytes: number;
  /** More came than is kept. */
  full: boolean;
}

/** Events already passed of the next message of a stream. */
interface Rest {
  readonly stream: number;
  skip: number;
}

const tapMessagesMax = 1_024;
const tapBytesMax = 4 * 1024 * 1024;
/** So long a cursor's next message may be unknown to the store's leader although it is stored, ms. */
const unknownRestMs = 2_000;

export type FollowOptions = Parameters<Feed["follow"]>[0];

export class JournalFeed implements Feed {
  readonly #bus: Bus;
  readonly #codec: Codec;
  readonly #logger: Logger;
  readonly #positions: number[] = [];
  readonly #followers: Follower[] = [];
  readonly #listeners = new Set<Listener>();
  readonly #taps = new Set<Tap>();
  readonly #recent = new RecentMessages();
  readonly #waiting: { stream: number; seq: number; resolve: () => void }[] = [];

  constructor(bus: Bus, codec: Codec, logger: Logger) {
    this.#bus = bus;
    this.#codec = codec;
    this.#logger = logger;
  }

  /** Begins to follow at the streams' ends. */
  async start(): Promise<void> {
    const { journal } = this.#bus;
    for (let stream = 0; stream < journal.streams; stream++) {
      const { lastSeq } = await journal.bounds(stream);
      this.#positions[stream] = lastSeq;
      this.#followers.push(await journal.follow(stream, lastSeq + 1, (m) => this.#onMessage(stream, m)));
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#followers.map((f) => f.stop()));
  }

  cursor(): string {
    return encodeCursor({ streams: this.#positions, stream: 0, skip: 0 });
  }

  async follow(options: FollowOptions): Promise<{ stop(): void }> {
    const tokens = parsePattern(options.pattern);
    const { since, onEvent, signal, onCaughtUp } = options;
    const own = new AbortController();
    const listener: Listener = { tokens, onEvent, signal: own.signal };
    const stop = (): void => {
      own.abort();
      this.#listeners.delete(listener);
      signal?.removeEventListener("abort", stop);
    };
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    else if (since === undefined) this.#listeners.add(listener);
    else {
      const join = onCaughtUp ?? (() => void this.#listeners.add(listener));
      try {
        await this.#catchUp(listener, decodeCursor(since, this.#bus.journal.streams), join);
      } catch (error) {
        stop();
        throw error;
      }
    }
    return { stop };
  }

  #onMessage(stream: number, message: JournalMessage): void {
    if (this.#listeners.size > 0) {
      try {
        this.#deliver(stream, this.#announced(stream, message), this.#listeners, this.#positions, 0);
      } catch (error) {
        this.#logger.error(
          { stream, seq: message.seq, err: error },
          "a journal message cannot be read; its events are not announced",
        );
      }
    }
    this.#positions[stream] = message.seq;
    for (const tap of this.#taps) keep(tap, stream, message);
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const one = this.#waiting[i] as { stream: number; seq: number; resolve: () => void };
      if (one.stream !== stream || message.seq < one.seq) continue;
      this.#waiting.splice(i, 1);
      one.resolve();
    }
  }

  /** A message's events; decoded once for all who read it while it is recent. */
  #announced(stream: number, message: JournalMessage): Announced {
    const known = this.#recent.get(stream, message.seq);
    if (known !== undefined) return known;
    const events = decodeHead(this.#codec, message.bytes).events.map((event) => {
      const subject = subjectOf(event);
      return { event, subject, tokens: subject.split(".") };
    });
    const announced = { seq: message.seq, events };
    this.#recent.keep(stream, announced, message.bytes.byteLength);
    return announced;
  }

  /** Gives a message's events to the listeners; the cursor of the last event has passed the whole message. */
  #deliver(
    stream: number,
    { seq, events }: Announced,
    listeners: Iterable<Listener>,
    positions: readonly number[],
    skip: number,
  ): void {
    for (let i = skip; i < events.length; i++) {
      const { event, subject, tokens } = events[i] as Announced["events"][number];
      let full: FeedEvent | undefined;
      for (const listener of listeners) {
        if (listener.signal.aborted || !matches(listener.tokens, tokens)) continue;
        full ??= { ...event, subject, cursor: this.#cursorAfter(stream, seq, i, events.length, positions) };
        listener.onEvent(full);
      }
    }
  }

  #cursorAfter(stream: number, seq: number, i: number, count: number, positions: readonly number[]): string {
    const last = i === count - 1;
    const streams = positions.map((p, s) => (s === stream ? (last ? seq : p) : p));
    return encodeCursor({ streams, stream, skip: last ? 0 : i + 1 });
  }

  /**
   * Reads stream after stream from the cursor up to where the live feed stands, while what comes live is kept
   * aside; then gives that too and joins between two messages. When too much comes meanwhile, once more from there.
   */
  async #catchUp(listener: Listener, from: FeedPosition, join: () => void): Promise<void> {
    const { signal } = listener;
    const positions = [...from.streams];
    if (!this.#holds(positions)) await requireWindow(this.#bus, this.#codec, from);
    const rest = { stream: from.stream, skip: from.skip };
    if (rest.skip > 0) await this.#reachRest(rest, positions, signal);
    while (!signal.aborted) {
      const tap: Tap = { messages: [], bytes: 0, full: false };
      this.#taps.add(tap);
      try {
        // First the rest of a message, whose events one cursor cannot tell apart together with another stream's.
        const targets = [...this.#positions.entries()].sort(([a], [b]) => order(a, rest) - order(b, rest));
        for (const [stream, target] of targets) await this.#giveStored(listener, stream, target, positions, rest);
        // A cursor may be ahead of this process's own follower: let it come up first.
        await Promise.all(positions.map((seq, stream) => this.#reach(stream, seq, signal)));
        if (tap.full) continue;
        for (const { stream, message } of tap.messages) {
          if (message.seq <= (positions[stream] ?? 0)) continue;
          this.#give(listener, stream, this.#announced(stream, message), positions, rest);
        }
        if (!signal.aborted) join();
        return;
      } finally {
        this.#taps.delete(tap);
      }
    }
  }

  /** True when what comes next after the positions is in memory, or nothing has come after them. */
  #holds(positions: readonly number[]): boolean {
    return positions.every(
      (p, stream) => p === this.#positions[stream] || this.#recent.get(stream, p + 1) !== undefined,
    );
  }

  /** From memory as far as that goes, then from the journal. */
  async #giveStored(
    listener: Listener,
    stream: number,
    target: number,
    positions: number[],
    rest: Rest,
  ): Promise<void> {
    const { journal } = this.#bus;
    const { signal } = listener;
    for (let next = (positions[stream] ?? 0) + 1; next <= target && !signal.aborted; next++) {
      const known = this.#recent.get(stream, next);
      if (known === undefined) break;
      this.#give(listener, stream, known, positions, rest);
    }
    const from = (positions[stream] ?? 0) + 1;
    if (from > target || signal.aborted) return;
    for await (const message of readStretch(journal, stream, from, target, signal)) {
      if (message.seq > (positions[stream] ?? 0) + 1) {
        // Sequences have no gaps but trimmed ones: the window may have passed this reader.
        await requireWindow(this.#bus, this.#codec, { streams: positions, stream: 0, skip: 0 });
      }
      if (signal.aborted) return;
      this.#give(listener, stream, this.#announced(stream, message), positions, rest);
    }
    if (!signal.aborted) positions[stream] = Math.max(positions[stream] ?? 0, target);
  }

  /** One message to one listener that has not joined yet. */
  #give(listener: Listener, stream: number, message: Announced, positions: number[], rest: Rest): void {
    this.#deliver(stream, message, [listener], positions, stream === rest.stream ? rest.skip : 0);
    if (stream === rest.stream) rest.skip = 0;
    positions[stream] = message.seq;
  }

  /**
   * A message whose beginning was told by another process may not have come here yet: it is waited for, since who joins
   * the live feed is told each message whole. When the store does not know it either, it is waited for only as long as
   * a change of the stream's leader may hide it.
   */
  async #reachRest(rest: Rest, positions: readonly number[], signal: AbortSignal): Promise<void> {
    const seq = (positions[rest.stream] ?? 0) + 1;
    if ((this.#positions[rest.stream] ?? 0) >= seq) return;
    const { clock, journal } = this.#bus;
    const reached = this.#reach(rest.stream, seq, signal);
    const { lastSeq } = await journal.bounds(rest.stream);
    await (lastSeq >= seq ? reached : Promise.race([reached, clock.sleep(unknownRestMs)]));
  }

  /** Resolves when the own follower has passed the sequence, or the signal aborts. */
  #reach(stream: number, seq: number, signal: AbortSignal): Promise<void> {
    if ((this.#positions[stream] ?? 0) >= seq || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ stream, seq, resolve });
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** The stream with a rest before all others. */
function order(stream: number, rest: Rest): number {
  return stream === rest.stream ? -1 : stream;
}

function keep(tap: Tap, stream: number, message: JournalMessage): void {
  if (tap.full) return;
  tap.messages.push({ stream, message });
  tap.bytes += message.bytes.byteLength;
  if (tap.messages.length <= tapMessagesMax && tap.bytes <= tapBytesMax) return;
  tap.full = true;
  tap.messages = [];
}
