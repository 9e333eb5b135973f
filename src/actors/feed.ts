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
import { decodeHead, type GroupHead } from "./group.ts";
import type { Logger } from "./limits.ts";
import { matches, parsePattern, subjectOf } from "./pattern.ts";
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

export type FollowOptions = Parameters<Feed["follow"]>[0];

export class JournalFeed implements Feed {
  readonly #bus: Bus;
  readonly #codec: Codec;
  readonly #logger: Logger;
  readonly #positions: number[] = [];
  readonly #followers: Follower[] = [];
  readonly #listeners = new Set<Listener>();
  readonly #taps = new Set<Tap>();
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
        this.#deliver(stream, message, this.#listeners, this.#positions, 0);
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

  /** Gives a message's events to the listeners; the cursor of the last event has passed the whole message. */
  #deliver(
    stream: number,
    message: JournalMessage,
    listeners: Iterable<Listener>,
    positions: readonly number[],
    skip: number,
  ): void {
    const head = decodeHead(this.#codec, message.bytes);
    for (let i = skip; i < head.events.length; i++)
      this.#deliverOne(stream, message.seq, head, i, listeners, positions);
  }

  #deliverOne(
    stream: number,
    seq: number,
    head: GroupHead,
    i: number,
    listeners: Iterable<Listener>,
    positions: readonly number[],
  ): void {
    const event = head.events[i] as GroupHead["events"][number];
    const subject = subjectOf(event);
    const tokens = subject.split(".");
    let full: FeedEvent | undefined;
    for (const listener of listeners) {
      if (listener.signal.aborted || !matches(listener.tokens, tokens)) continue;
      full ??= { ...event, subject, cursor: this.#cursorAfter(stream, seq, i, head.events.length, positions) };
      listener.onEvent(full);
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
    await requireWindow(this.#bus.journal, this.#codec, from);
    const positions = [...from.streams];
    const rest = { stream: from.stream, skip: from.skip };
    while (!signal.aborted) {
      const tap: Tap = { messages: [], bytes: 0, full: false };
      this.#taps.add(tap);
      try {
        const targets = [...this.#positions];
        for (const [stream, target] of targets.entries())
          await this.#giveStored(listener, stream, target, positions, rest);
        // A cursor may be ahead of this process's own follower: let it come up first.
        await Promise.all(positions.map((seq, stream) => this.#reach(stream, seq, signal)));
        if (tap.full) continue;
        for (const { stream, message } of tap.messages) {
          if (message.seq > (positions[stream] ?? 0)) this.#give(listener, stream, message, positions, rest);
        }
        if (!signal.aborted) join();
        return;
      } finally {
        this.#taps.delete(tap);
      }
    }
  }

  async #giveStored(
    listener: Listener,
    stream: number,
    target: number,
    positions: number[],
    rest: Rest,
  ): Promise<void> {
    const { journal } = this.#bus;
    if ((positions[stream] ?? 0) >= target) return;
    for await (const message of readStretch(journal, stream, (positions[stream] ?? 0) + 1, target, listener.signal)) {
      if (message.seq > (positions[stream] ?? 0) + 1) {
        // Sequences have no gaps but trimmed ones: the window may have passed this reader.
        await requireWindow(journal, this.#codec, { streams: positions, stream: 0, skip: 0 });
      }
      if (listener.signal.aborted) return;
      this.#give(listener, stream, message, positions, rest);
    }
    positions[stream] = Math.max(positions[stream] ?? 0, target);
  }

  /** One message to one listener that has not joined yet. */
  #give(listener: Listener, stream: number, message: JournalMessage, positions: number[], rest: Rest): void {
    this.#deliver(stream, message, [listener], positions, stream === rest.stream ? rest.skip : 0);
    if (stream === rest.stream) rest.skip = 0;
    positions[stream] = message.seq;
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

function keep(tap: Tap, stream: number, message: JournalMessage): void {
  if (tap.full) return;
  tap.messages.push({ stream, message });
  tap.bytes += message.bytes.byteLength;
  if (tap.messages.length <= tapMessagesMax && tap.bytes <= tapBytesMax) return;
  tap.full = true;
  tap.messages = [];
}
