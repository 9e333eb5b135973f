/** Port Journal in memory. */
import { BusError } from "../bus.ts";
import type { AppendOutcome, Follower, Journal, JournalMessage } from "../journal.ts";
import type { Link } from "./link.ts";
import type { MemoryStore, MemoryStream } from "./store.ts";

export class MemoryJournal implements Journal {
  constructor(
    private readonly store: MemoryStore,
    private readonly link: Link,
    readonly payloadBytesMax: number,
  ) {}

  get partitions(): number {
    return this.store.layout.partitions;
  }

  get streams(): number {
    return this.store.layout.streams;
  }

  streamOf(partition: number): number {
    return partition % this.streams;
  }

  async append(partition: number, bytes: Uint8Array, expectedLastSeq: number): Promise<AppendOutcome> {
    requireFits(bytes, this.payloadBytesMax);
    // What is sent is what the bytes are now.
    const sent = bytes.slice();
    return this.link.write({ port: "journal", operation: "append", about: String(partition) }, () =>
      this.store.append(partition, sent, expectedLastSeq),
    );
  }

  last(partition: number): Promise<JournalMessage | null> {
    return this.look("last", partition, (stream) => stream.last(partition));
  }

  get(partition: number, seq: number): Promise<JournalMessage | null> {
    return this.look("get", partition, (stream) => {
      const message = stream.get(seq);
      return message?.partition === partition ? message : null;
    });
  }

  async *read(partition: number, fromSeq: number, toSeq: number): AsyncGenerator<JournalMessage, void, void> {
    yield* await this.look("read", partition, (stream) => stream.range(partition, fromSeq, toSeq));
  }

  async follow(stream: number, fromSeq: number, onMessage: (m: JournalMessage) => void): Promise<Follower> {
    const journal = this.store.journal(stream);
    const call = { port: "journal", operation: "follow", about: String(stream) } as const;
    const start = await this.link.read(call, () => (fromSeq > 0 ? fromSeq : journal.lastSeq + 1));
    return new MemoryFollower(journal, this.link, start, onMessage);
  }

  async bounds(stream: number): Promise<{ firstSeq: number; lastSeq: number }> {
    const journal = this.store.journal(stream);
    const call = { port: "journal", operation: "bounds", about: String(stream) } as const;
    return this.link.read(call, () => ({ firstSeq: journal.firstSeq, lastSeq: journal.lastSeq }));
  }

  trim(partition: number, beforeSeq: number): Promise<void> {
    return this.look("trim", partition, (stream) => stream.trim(partition, beforeSeq));
  }

  private look<T>(operation: string, partition: number, look: (stream: MemoryStream) => T): Promise<T> {
    const journal = this.store.journal(this.streamOf(partition));
    return this.link.read({ port: "journal", operation, about: String(partition) }, () => look(journal));
  }
}

/** Hands over one message per hop, in order; waits while the link is down and goes on when it heals. */
class MemoryFollower implements Follower {
  private running = false;
  private stopped = false;
  private readonly release: (() => void)[];

  constructor(
    private readonly journal: MemoryStream,
    private readonly link: Link,
    private nextSeq: number,
    private readonly onMessage: (m: JournalMessage) => void,
  ) {
    const wake = () => void this.pump();
    this.release = [journal.onAppend(wake), link.onHealed(wake)];
    wake();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const release of this.release) release();
  }

  private async pump(): Promise<void> {
    if (this.running) return;
    this.running = true;
    await this.link.hop();
    while (!this.stopped && this.link.state === "up" && this.nextSeq <= this.journal.lastSeq) {
      const message = this.journal.get(this.nextSeq++);
      if (message) this.onMessage(message);
    }
    this.running = false;
  }
}

export function requireFits(bytes: Uint8Array, max: number): void {
  if (bytes.length > max) throw new BusError("failed", `${bytes.length} bytes are more than the store takes (${max}).`);
}
