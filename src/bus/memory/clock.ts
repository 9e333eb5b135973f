/**
 * A clock that stands still until it is advanced: timers fire in order of their time, and all
 * promises settle in between. Owns simulated time only; `system-clock.ts` is the real one.
 */
import type { Clock, TimerHandle } from "../clock.ts";

interface Timer {
  readonly at: number;
  readonly no: number;
  readonly fn: () => void;
  cancelled: boolean;
}

export class MemoryClock implements Clock {
  private time: number;
  private timerNo = 0;
  /** A binary heap by (at, no). */
  private readonly heap: Timer[] = [];
  private advancing = false;

  constructor(private readonly startMs = 1_700_000_000_000) {
    this.time = startMs;
  }

  now(): number {
    return Math.floor(this.time);
  }

  monotonic(): number {
    return this.time - this.startMs;
  }

  after(ms: number, fn: () => void): TimerHandle {
    const timer: Timer = { at: this.time + Math.max(0, ms || 0), no: this.timerNo++, fn, cancelled: false };
    push(this.heap, timer);
    return {
      cancel: () => {
        timer.cancelled = true;
      },
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Lets `ms` pass: fires what is due, one timer at a time, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const target = this.time + ms;
    await this.run(() => this.nextAt() > target);
    this.time = target;
    await settle();
  }

  /**
   * Advances from timer to timer until `done` says so (looked at after each). Throws when that
   * takes more than `limitMs` of simulated time, or when nothing is left that could change it.
   */
  async runUntil(done: () => boolean, limitMs = 3_600_000): Promise<void> {
    const limit = this.time + limitMs;
    await settle();
    await this.run(() => done() || this.nextAt() > limit);
    if (!done()) throw new Error(`Not reached within ${limitMs} ms of simulated time.`);
  }

  /** `runUntil` the promise has settled; gives its outcome. */
  async wait<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => {});
    await this.runUntil(() => settled, limitMs);
    return watched;
  }

  private async run(stop: () => boolean): Promise<void> {
    if (this.advancing) throw new Error("The clock is being advanced already.");
    this.advancing = true;
    try {
      await settle();
      while (!stop()) {
        const timer = pop(this.heap);
        if (!timer) return;
        if (timer.cancelled) continue;
        this.time = Math.max(this.time, timer.at);
        timer.fn();
        await settle();
      }
    } finally {
      this.advancing = false;
    }
  }

  private nextAt(): number {
    for (;;) {
      const first = this.heap[0];
      if (!first) return Number.POSITIVE_INFINITY;
      if (!first.cancelled) return first.at;
      pop(this.heap);
    }
  }
}

/** All microtasks, also those that they make, run before the next macrotask. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.no < b.no);
}

function push(heap: Timer[], timer: Timer): void {
  let i = heap.push(timer) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    const above = heap[parent]!;
    if (!before(timer, above)) break;
    heap[i] = above;
    i = parent;
  }
  heap[i] = timer;
}

function pop(heap: Timer[]): Timer | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (!first || !last || heap.length === 0) return first;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    const below = heap[child]!;
    if (!before(below, last)) break;
    heap[i] = below;
    i = child;
  }
  heap[i] = last;
  return first;
}
