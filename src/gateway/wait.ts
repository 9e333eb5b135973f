/**
 * An answer that waits for something: looks, and looks again at each event that may tell of it, until it is so, the
 * time is over or the asker has gone. Owns no state beyond the call.
 */
import type { OperationContext } from "./operation.ts";

export interface Waited<T> {
  readonly value: T;
  /** False: the time was over first. */
  readonly done: boolean;
}

export interface WaitOptions<T> {
  /** Whose events tell that it is worth looking again; */
  readonly root?: string;
  /** or those that match one of these patterns. */
  readonly subjects?: readonly string[];
  /** Looks without any event, in case one was lost. Default 1 s. */
  readonly lookMs?: number;
  readonly forMs: number;
  read(): Promise<T>;
  isDone(value: T): boolean;
}

/** An event may be here before its commit can be read: a second look so much later. */
const secondLookMs = 25;
const lookMsDefault = 1_000;

/** The value when it is done, or as it is when the time is over. Throws what `read` throws. */
export async function waitFor<T>(ctx: OperationContext, options: WaitOptions<T>): Promise<Waited<T>> {
  const { read, isDone, forMs } = options;
  const deadline = ctx.clock.monotonic() + forMs;
  const bell = new Bell(ctx.clock);
  const stop = forMs > 0 ? await listen(ctx, options, () => bell.ring()) : () => undefined;
  const abort = (): void => bell.ring();
  ctx.signal?.addEventListener("abort", abort, { once: true });
  try {
    for (let second = false; ; ) {
      const value = await read();
      const done = isDone(value);
      const left = deadline - ctx.clock.monotonic();
      if (done || left <= 0 || ctx.signal?.aborted === true) return { value, done };
      const rang = await bell.wait(Math.min(left, second ? secondLookMs : (options.lookMs ?? lookMsDefault)));
      second = rang;
    }
  } finally {
    ctx.signal?.removeEventListener("abort", abort);
    stop();
  }
}

type Listened = Pick<WaitOptions<unknown>, "root" | "subjects">;

async function listen({ hub }: OperationContext, { root, subjects = [] }: Listened, ring: () => void) {
  const leaves: (() => void)[] = [];
  if (root !== undefined) leaves.push(await hub.followRoot(root, ring));
  for (const subject of subjects) leaves.push(await hub.subscribe(subject, ring));
  return (): void => {
    for (const leave of leaves) leave();
  };
}

/** Rung by events; remembers a ring that nobody waited for. */
class Bell {
  private rung = false;
  private wake: () => void = () => undefined;
  private readonly clock: OperationContext["clock"];

  constructor(clock: OperationContext["clock"]) {
    this.clock = clock;
  }

  ring(): void {
    this.rung = true;
    this.wake();
  }

  /** True when it rang within so long. */
  async wait(forMs: number): Promise<boolean> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const timer = this.clock.after(forMs, resolve);
        this.wake = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    const rang = this.rung;
    this.rung = false;
    return rang;
  }
}
