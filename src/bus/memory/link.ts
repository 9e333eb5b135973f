/**
 * One simulated node's connection to the store and the other nodes: whether it stands, how long
 * a hop takes, and which fault hits a call. The memory ports go through it for every call.
 */
import { BusError } from "../bus.ts";
import type { Clock } from "../clock.ts";
import type { Fault, FaultCall, Faults } from "./faults.ts";

/**
 * `up`; `cut` (the connection is down and both sides know); `silent` (frozen or cut off without
 * notice: what it sends and is sent vanishes, its subscriptions still count); `dead` (crashed).
 */
export type LinkState = "up" | "cut" | "silent" | "dead";

export interface LinkOptions {
  readonly node: string;
  readonly clock: Clock;
  readonly faults: Faults | undefined;
  readonly latencyMs: number;
  readonly writeTimeoutMs: number;
  readonly readTimeoutMs: number;
}

/** The outcomes that every write has besides its own. */
export type WriteFailure =
  | { readonly kind: "unknown"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: "full"; readonly reason: string };

const RETRY_MS = 50;
const FULL: WriteFailure = { kind: "full", reason: "maximum bytes exceeded" };

export class Link {
  private current: LinkState = "up";
  private readonly listeners = new Set<(connected: boolean) => void>();
  private readonly healed = new Set<() => void>();

  constructor(readonly options: LinkOptions) {}

  get state(): LinkState {
    return this.current;
  }

  /** A silent node does not know that it is cut off. */
  get connected(): boolean {
    return this.current === "up" || this.current === "silent";
  }

  set(state: LinkState): void {
    if (this.current === "dead" || this.current === state) return;
    const before = this.connected;
    this.current = state;
    if (this.connected !== before && state !== "dead")
      for (const listener of [...this.listeners]) listener(this.connected);
    if (state === "up") for (const resume of [...this.healed]) resume();
  }

  /** Gives the way to stop listening. */
  onConnection(listener: (connected: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Called whenever the link is up again; gives the way to stop that. */
  onHealed(resume: () => void): () => void {
    this.healed.add(resume);
    return () => this.healed.delete(resume);
  }

  fault(call: Omit<FaultCall, "node">): Fault | undefined {
    return this.options.faults?.next({ node: this.options.node, ...call });
  }

  /** One way through the network. Without latency only promises pass, no time. */
  async hop(extraMs = 0): Promise<void> {
    const ms = this.options.latencyMs + extraMs;
    if (ms > 0) await this.options.clock.sleep(ms);
    else await Promise.resolve();
  }

  /** A dead process never sees an answer. */
  never<T>(): Promise<T> {
    return new Promise<T>(() => {});
  }

  /** Carries a write to the store and its answer back, with all that can go wrong on the way. */
  async write<T>(call: Omit<FaultCall, "node">, store: () => T): Promise<T | WriteFailure> {
    if (this.current === "dead") return this.never();
    if (this.current === "cut") return unknown("disconnected");
    const fault = this.fault(call);
    await this.hop(fault?.kind === "delay" ? fault.ms : 0);
    if (fault?.kind === "no_responders") return this.answer(unknown("no responders"));
    if (fault?.kind === "full") return this.answer(FULL);
    if (fault?.kind === "stored_late") {
      this.options.clock.after(fault.ms, () => void store());
      return this.lost();
    }
    // A message that was on its way when the process died still arrives; one of a silent node does not.
    if (fault?.kind === "drop" || this.current === "silent") return this.lost();
    const outcome = store();
    return fault?.kind === "answer_lost" ? this.lost() : this.answer(outcome);
  }

  /** Carries a read; goes on trying as the real driver does. Throws BusError `unreachable` at its deadline. */
  async read<T>(call: Omit<FaultCall, "node">, look: () => T): Promise<T> {
    const { clock, readTimeoutMs } = this.options;
    const deadline = clock.monotonic() + readTimeoutMs;
    for (;;) {
      if (this.current === "dead") return this.never();
      const fault = this.fault(call);
      await this.hop(fault?.kind === "delay" ? fault.ms : 0);
      const lost = fault !== undefined && fault.kind !== "delay" && fault.kind !== "duplicate";
      if (this.current === "up" && !lost) {
        const found = look();
        await this.hop();
        if (this.state === "up") return found;
      }
      if (clock.monotonic() >= deadline) {
        throw new BusError("unreachable", `No answer to ${call.port}.${call.operation} ${call.about}.`);
      }
      await clock.sleep(RETRY_MS);
    }
  }

  private async answer<T>(outcome: T): Promise<T | WriteFailure> {
    await this.hop();
    if (this.current === "dead") return this.never();
    if (this.current === "cut") return unknown("disconnected");
    return this.current === "silent" ? this.lost() : outcome;
  }

  private async lost(): Promise<WriteFailure> {
    await this.options.clock.sleep(this.options.writeTimeoutMs);
    return this.current === "dead" ? this.never() : unknown("no answer in time");
  }
}

function unknown(reason: string): WriteFailure {
  return { kind: "unknown", reason, retryAfterMs: RETRY_MS };
}
