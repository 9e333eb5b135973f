/**
 * What operations, dashboards and `/metrics` ask about the system: traffic of this gateway, sums over
 * the cluster (asked at most once a second, however many want them), and the text for Prometheus.
 */
import type { Health, Runtime, Tally } from "../../actors/client.ts";
import type { GatewayClock } from "../config.ts";
import { Exposition } from "./exposition.ts";
import { Traffic } from "./traffic.ts";

/** How long an answer holds for the next who asks. */
const holdsMs = 1000;
const keptMax = 64;

interface Held<T> {
  readonly until: number;
  readonly answer: Promise<T>;
}

export class Monitor {
  readonly traffic = new Traffic();
  readonly #runtime: Runtime;
  readonly #clock: GatewayClock;
  readonly #tallies = new Map<string, Held<Tally>>();
  #health: Held<Health> | undefined;
  #exposition: Exposition | undefined;
  readonly #version: string;

  constructor(runtime: Runtime, clock: GatewayClock, version: string) {
    this.#runtime = runtime;
    this.#clock = clock;
    this.#version = version;
  }

  /** Sums over the cluster, up to a second old. Throws what asking throws. */
  tally(since?: number): Promise<Tally> {
    const minute = since === undefined ? "ever" : String(Math.floor(since / 60_000));
    const now = this.#clock.monotonic();
    const known = this.#tallies.get(minute);
    if (known !== undefined && now < known.until) return known.answer;
    const answer = this.#runtime.tally(since);
    this.#tallies.delete(minute);
    this.#tallies.set(minute, { until: now + holdsMs, answer });
    if (this.#tallies.size > keptMax) this.#tallies.delete(this.#tallies.keys().next().value as string);
    answer.catch(() => this.#tallies.delete(minute));
    return answer;
  }

  health(): Promise<Health> {
    const now = this.#clock.monotonic();
    if (this.#health !== undefined && now < this.#health.until) return this.#health.answer;
    const answer = this.#runtime.health();
    this.#health = { until: now + holdsMs, answer };
    return answer;
  }

  /** What Prometheus reads, and its content type. */
  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    this.#exposition ??= new Exposition(this.#runtime, this.traffic, this.#version);
    // What cannot be known now is left out, so that the rest is still seen.
    const tally = await this.tally().catch(() => undefined);
    return { contentType: this.#exposition.contentType, body: await this.#exposition.text(tally) };
  }
}
