/**
 * A stepped clock, blobs in memory and an ask port that records, for executor tests. No runtime.
 */

import type { Answer } from "../../src/actors/client.ts";
import type { ExecutorPort, Logger } from "../../src/actors/executors/port.ts";
import { BlobValues } from "../../src/actors/values.ts";
import type { Work } from "../../src/actors/work.ts";
import type { BlobInfo, Blobs } from "../../src/bus/blobs.ts";
import type { Clock } from "../../src/bus/clock.ts";
import type { Address } from "../../src/machines/address.ts";
import type { Command, Json, JsonObject } from "../../src/machines/effects.ts";

export class StepClock implements Clock {
  #now = 1_700_000_000_000;
  #timers: { at: number; fn: () => void }[] = [];
  now() {
    return this.#now;
  }
  monotonic() {
    return this.#now;
  }
  /** What takes no time happens in the next turn, as it does on a real clock. */
  after(ms: number, fn: () => void) {
    if (ms <= 0) {
      const turn = setImmediate(fn);
      return { cancel: () => clearImmediate(turn) };
    }
    const timer = { at: this.#now + ms, fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((t) => t !== timer);
      },
    };
  }
  sleep(ms: number) {
    return new Promise<void>((resolve) => {
      this.after(ms, resolve);
    });
  }
  get timers() {
    return this.#timers.length;
  }
  /** Moves time on, firing in order; lets promises settle before, between and after. */
  async step(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const due = this.#timers.filter((t) => t.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.#now = Math.max(this.#now, due.at);
      due.fn();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

/** Lets everything that needs no time happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

export class MemoryBlobs implements Blobs {
  readonly stored = new Map<string, Uint8Array>();
  gets = 0;
  /** Errors to throw by the next calls. */
  readonly failures: Error[] = [];
  async put(name: string, bytes: Uint8Array): Promise<BlobInfo> {
    this.#fail();
    this.stored.set(name, bytes);
    return { name, size: bytes.length };
  }
  async get(name: string) {
    this.#fail();
    this.gets++;
    return this.stored.get(name) ?? null;
  }
  async stream(name: string) {
    const bytes = this.stored.get(name);
    if (bytes === undefined) return null;
    return (async function* () {
      yield bytes;
    })();
  }
  async list(root: string) {
    return [...this.stored].filter(([n]) => n.startsWith(`${root}/`)).map(([name, b]) => ({ name, size: b.length }));
  }
  async remove(name: string) {
    this.stored.delete(name);
  }
  #fail() {
    const error = this.failures.shift();
    if (error !== undefined) throw error;
  }
}

export interface Said {
  readonly to: Address;
  readonly command: Command;
}

export function fakePort(answer: (said: Said, before: number) => Promise<void> | void = () => {}) {
  const clock = new StepClock();
  const blobs = new MemoryBlobs();
  const said: Said[] = [];
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const line = (level: string) => (fields: Record<string, unknown>, message: string) => {
    lines.push({ level, fields, message });
  };
  const logger: Logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  const port: ExecutorPort = {
    async ask(to, command): Promise<Answer> {
      said.push({ to, command });
      await answer({ to, command }, said.length - 1);
      return { reply: null, view: null, step: said.length };
    },
    announce() {},
    values: new BlobValues(blobs),
    clock,
    node: "n1",
    logger,
  };
  const types = () => said.map((s) => s.command.type);
  return { port, clock, blobs, said, types, lines };
}

export function work(fields: { key?: string; id?: string; attempt?: number; input?: Json } & JsonObject = {}): Work {
  const { key = "r1~a", attempt = 1, id = `attempt-${attempt}`, ...context } = fields;
  return {
    address: { type: "task", key },
    id,
    kind: "agent",
    spec: { attempt },
    context: { taskType: "t", capabilities: [], input: null, priority: 5, runId: "r1", ...context, attempt },
  };
}

export function outcomes(said: readonly Said[]): JsonObject[] {
  return said.filter((s) => s.command.type === "task.report").map((s) => s.command.outcome as JsonObject);
}
