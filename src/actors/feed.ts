/**
 * The event feed of one process: follows every journal stream in order and gives the stored events to
 * whoever asked for their pattern. Who comes with a cursor reads the journal from there and joins the live feed
 * at the very message where it stands, so that nothing is missed or doubled.
 */
import type { Bus } from "../bus/bus.ts";
import type { Codec } from "../bus/codec.ts";
import type { Follower, JournalMessage } from "../bus/journal.ts";
import { TroupeError } from "../machines/errors.ts";
import type { Feed, FeedEvent } from "./client.ts";
import { decodeCursor, encodeCursor, type FeedPosition } from "./cursor.ts";
import { decodeGroup, decodeHead, type GroupHead } from "./group.ts";
import type { Logger } from "./limits.ts";
import { matches, parsePattern, subjectOf } from "./pattern.ts";

interface Listener {
  readonly tokens: readonly string[];
  readonly onEvent: (e: FeedEvent) => void;
}

export interface FollowOptions {
  readonly pattern: string;
  readonly since?: string;
  readonly onEvent: (e: FeedEvent) => void;
}

export class JournalFeed implements Feed {
  readonly #bus: Bus;
  readonly #codec: Codec;
  readonly #logger: Logger;
  readonly #positions: number[] = [];
  readonly #followers: Follower[] = [];
  readonly #listeners = new Set<Listener>();
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
    const listener: Listener = { tokens, onEvent: options.onEvent };
    const state = { stopped: false };
    if (options.since === undefined) this.#listeners.add(listener);
    else await this.#catchUp(listener, decodeCursor(options.since, this.#bus.journal.streams), state);
    return {
      stop: () => {
        state.stopped = true;
        this.#listeners.delete(listener);
      },
    };
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
      if (!matches(listener.tokens, tokens)) continue;
      full ??= { ...event, subject, cursor: this.#cursorAfter(stream, seq, i, head.events.length, positions) };
      listener.onEvent(full);
    }
  }

  #cursorAfter(stream: number, seq: number, i: number, count: number, positions: readonly number[]): string {
    const last = i === count - 1;
    const streams = positions.map((p, s) => (s === stream ? (last ? seq : p) : p));
    return encodeCursor({ streams, stream, skip: last ? 0 : i + 1 });
  }

  /** Reads stream after stream from the cursor to the live feed's position, then joins it between two messages. */
  async #catchUp(listener: Listener, from: FeedPosition, state: { stopped: boolean }): Promise<void> {
    await this.#checkWindow(from);
    const positions = [...from.streams];
    let skip = from.skip;
    for (;;) {
      const behind = positions.findIndex((p, stream) => p < (this.#positions[stream] ?? 0));
      if (behind < 0) break;
      const target = this.#positions[behind] ?? 0;
      for await (const message of this.#read(behind, (positions[behind] ?? 0) + 1, target)) {
        if (state.stopped) return;
        this.#deliver(behind, message, [listener], positions, behind === from.stream ? skip : 0);
        if (behind === from.stream) skip = 0;
        positions[behind] = message.seq;
      }
      positions[behind] = Math.max(positions[behind] ?? 0, target);
    }
    // A cursor may be ahead of this process's own follower: let it come up first.
    await Promise.all(positions.map((seq, stream) => this.#reach(stream, seq)));
    if (state.stopped) return;
    const late = positions.some((p, stream) => p < (this.#positions[stream] ?? 0));
    if (late) return this.#catchUp(listener, { streams: positions, stream: from.stream, skip }, state);
    this.#listeners.add(listener);
  }

  #reach(stream: number, seq: number): Promise<void> {
    if ((this.#positions[stream] ?? 0) >= seq) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ stream, seq, resolve }));
  }

  /** All messages of a stream between two sequences, in order. */
  async *#read(stream: number, fromSeq: number, toSeq: number): AsyncIterable<JournalMessage> {
    const queue: JournalMessage[] = [];
    let wake: (() => void) | undefined;
    const follower = await this.#bus.journal.follow(stream, fromSeq, (m) => {
      if (m.seq <= toSeq) queue.push(m);
      if (m.seq >= toSeq || queue.length === 1) wake?.();
    });
    try {
      for (;;) {
        const message = queue.shift();
        if (message !== undefined) {
          yield message;
          if (message.seq >= toSeq) return;
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (queue.length > 0) resolve();
        });
      }
    } finally {
      await follower.stop();
    }
  }

  /** Refuses a cursor behind which some partition's messages may have been trimmed. */
  async #checkWindow(from: FeedPosition): Promise<void> {
    const { journal } = this.#bus;
    const oldest = from.streams.map(() => 0);
    let expired = false;
    for (let p = 0; p < journal.partitions; p++) {
      const last = await journal.last(p);
      if (last === null) continue;
      const stream = journal.streamOf(p);
      const { horizon } = decodeGroup(this.#codec, last.bytes);
      const position = from.streams[stream] ?? 0;
      if (position > (await journal.bounds(stream)).lastSeq) {
        throw new TroupeError("invalid_input", "The cursor is ahead of the journal: it is not this cluster's.");
      }
      oldest[stream] = Math.max(oldest[stream] ?? 0, horizon > 0 ? horizon - 1 : 0);
      if (position + 1 < horizon) expired = true;
    }
    if (!expired) return;
    const cursor = encodeCursor({ streams: oldest, stream: 0, skip: 0 });
    throw new TroupeError("cursor_expired", "Events after this cursor are no longer in the replay window.", {
      oldest: cursor,
    });
  }
}
