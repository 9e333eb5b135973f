/**
 * Executor of kind `health`: asks an agent's health check again and again, and reports when it has changed. Owns the
 * polling and when an answer counts; what follows for the agent is its machine's.
 *
 * An address that has never answered well says nothing of the agent: it may only be out of reach from here. One that may
 * not be called (private) is not polled.
 */
import { type Address, formatAddress } from "../../machines/address.ts";
import type { AgentContext } from "../../machines/agent/schema.ts";
import { type Outside, OutsideError } from "../outside.ts";
import type { Executor, Work } from "../work.ts";
import type { ExecutorPort } from "./port.ts";
import { deliver, pause } from "./retry.ts";

const callMs = 5_000;
/** As many as heartbeats may stay away. */
const failuresMax = 3;
/** Calls at once; the others wait their turn. */
const atOnceMax = 32;

export class HealthExecutor implements Executor {
  readonly kind = "health";
  readonly #port: ExecutorPort;
  readonly #outside: Outside;
  readonly #polled = new Map<string, AbortController>();
  readonly #turns: (() => void)[] = [];
  #calls = 0;

  constructor(port: ExecutorPort, outside: Outside) {
    this.#port = port;
    this.#outside = outside;
  }

  start(work: Work): void {
    const key = keyOf(work.address, work.id);
    this.#polled.get(key)?.abort();
    const stop = new AbortController();
    this.#polled.set(key, stop);
    void this.#poll(work, stop.signal).catch((error: unknown) =>
      this.#port.logger.error({ actor: key, err: error }, "a health check is polled no more"),
    );
  }

  holds(address: Address, id: string): "running" | undefined {
    return this.#polled.has(keyOf(address, id)) ? "running" : undefined;
  }

  abort(address: Address, id: string): void {
    const key = keyOf(address, id);
    this.#polled.get(key)?.abort();
    this.#polled.delete(key);
  }

  /** Nothing of it need be finished. */
  async drain(): Promise<void> {
    for (const stop of this.#polled.values()) stop.abort();
    this.#polled.clear();
  }

  async #poll({ address, context }: Work, signal: AbortSignal): Promise<void> {
    const { healthCheckUrl: url, heartbeatMs, healthy } = context as unknown as AgentContext;
    if (url === null) return;
    const { clock, logger } = this.#port;
    let known = healthy;
    let failures = 0;
    while (!signal.aborted) {
      const found = await this.#inTurn(() => this.#ask(url, signal));
      if (signal.aborted) return;
      if (found === "refused") {
        logger.warn({ agent: address.key }, "an agent's health check may not be called; its heartbeats alone count");
        return;
      }
      failures = found === "well" ? 0 : failures + 1;
      const changed = found === "well" ? known !== true : known === true && failures >= failuresMax;
      if (changed) {
        known = found === "well";
        await deliver(this.#port, address, { type: "agent.health", ok: known }, signal);
      }
      await pause(clock, heartbeatMs, signal);
    }
  }

  async #ask(url: string, signal: AbortSignal): Promise<"well" | "unwell" | "refused"> {
    try {
      const { status } = await this.#outside.call({ method: "GET", url, timeoutMs: callMs, signal });
      return status >= 200 && status < 300 ? "well" : "unwell";
    } catch (error) {
      return error instanceof OutsideError && error.reason === "refused" ? "refused" : "unwell";
    }
  }

  async #inTurn<T>(call: () => Promise<T>): Promise<T> {
    if (this.#calls >= atOnceMax) await new Promise<void>((resolve) => this.#turns.push(resolve));
    this.#calls++;
    try {
      return await call();
    } finally {
      this.#calls--;
      this.#turns.shift()?.();
    }
  }
}

const keyOf = (address: Address, id: string): string => `${formatAddress(address)} ${id}`;
