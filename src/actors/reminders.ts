/**
 * The heap of due times of one partition. Owns order and the one timer; the truth is in the actors'
 * entries: a reminder counts only if the entry still has it with the same arming.
 */
import type { Clock, TimerHandle } from "../bus/clock.ts";
import type { Address } from "../machines/address.ts";

export interface DueReminder {
  readonly at: number;
  readonly address: Address;
  readonly name: string;
  readonly arming: number;
}

export class ReminderHeap {
  readonly #heap: DueReminder[] = [];
  readonly #clock: Clock;
  readonly #onDue: (due: DueReminder[]) => void;
  #timer: TimerHandle | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** `onDue` gets what is due, earliest first, never before its time. */
  constructor(clock: Clock, onDue: (due: DueReminder[]) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(reminder: DueReminder): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(reminder);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as DueReminder;
      if (above.at <= reminder.at) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = reminder;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    const first = this.#heap[0];
    if (this.#stopped || first === undefined || first.at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = first.at;
    this.#timer = this.#clock.after(Math.max(0, first.at - this.#clock.now()), () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#fire();
    });
  }

  #fire(): void {
    const now = this.#clock.now();
    const due: DueReminder[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      due.push(first);
      this.#pop();
    }
    if (due.length > 0) this.#onDue(due);
    this.#arm();
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as DueReminder;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as DueReminder).at < (heap[child] as DueReminder).at) child++;
      if ((heap[child] as DueReminder).at >= last.at) break;
      heap[i] = heap[child] as DueReminder;
      i = child;
    }
    heap[i] = last;
  }
}
