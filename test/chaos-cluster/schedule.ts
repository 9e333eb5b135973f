/**
 * When which fault: light ones all the time, heavy ones one after the other, each when all is whole again, blackouts at
 * set times in place of a heavy one. Keeps what was done and the slowest answer of each fault's time.
 */
import { pause } from "../chaos/harness.ts";
import { type Random, random as seededRandom } from "../chaos/random.ts";
import { blackouts, type Fault, type FaultParts, heavy, heavyWeights, light, lightWeights, weighted } from "./fault.ts";
import type { Ledger } from "./ledger.ts";
import type { ChaosSettings } from "./settings.ts";

export interface Done {
  readonly kind: string;
  readonly weight: "light" | "heavy" | "blackout";
  readonly begun: number;
  /** When all was whole again; the ledger's time. */
  ended: number;
  /** The longest that a command took which was under way meanwhile, ms. */
  slowest: number;
}

/** So long after a fault an answer still counts as one of its time. */
const tailMs = 1_000;

export class Schedule {
  readonly done: Done[] = [];
  readonly #recent = new Set<Done>();

  constructor(
    private readonly settings: ChaosSettings,
    private readonly parts: Omit<FaultParts, "random">,
    private readonly ledger: Ledger,
    private readonly say: (line: string) => void,
  ) {}

  /** A command was answered. */
  answered(sent: number, took: number): void {
    if (took < 50) return;
    for (const fault of this.#recent) {
      if (sent + took < fault.begun) continue;
      if (took > fault.slowest) fault.slowest = took;
    }
  }

  /** True when a restart of everything at once fell into this time, or had its end in the second before. */
  allWereAway(from: number, to: number): boolean {
    return this.done.some((one) => one.weight === "blackout" && one.begun < to && one.ended + tailMs > from);
  }

  async run(): Promise<void> {
    const until = this.ledger.now() + this.settings.ms;
    const { seed } = this.settings;
    await Promise.all([this.#heavies(seededRandom(seed + 1), until), this.#lights(seededRandom(seed + 2), until)]);
  }

  async #lights(random: Random, until: number): Promise<void> {
    const { lightMs } = this.settings;
    for (;;) {
      if (!(await this.#wait(random.between(lightMs / 2, lightMs * 1.5), until))) return;
      const kind = weighted(random, lightWeights);
      await this.#strike("light", kind, light[kind], random).catch(() => undefined);
    }
  }

  async #heavies(random: Random, until: number): Promise<void> {
    const { heavyMs, ms, blackouts: count } = this.settings;
    const begun = this.ledger.now();
    const kinds = Object.keys(blackouts) as (keyof typeof blackouts)[];
    for (let dark = 0; ; ) {
      if (!(await this.#wait(random.between(heavyMs / 2, heavyMs * 1.5), until))) return;
      if (dark < count && this.ledger.now() - begun > ((dark + 0.5) / count) * ms) {
        const kind = kinds[dark++ % kinds.length] as keyof typeof blackouts;
        await this.#strike("blackout", kind, blackouts[kind], random);
      } else {
        const kind = weighted(random, heavyWeights);
        await this.#strike("heavy", kind, heavy[kind], random);
      }
    }
  }

  /** False: the time is over before. */
  async #wait(ms: number, until: number): Promise<boolean> {
    const left = until - this.ledger.now();
    await pause(Math.min(ms, left));
    return ms < left;
  }

  async #strike(weight: Done["weight"], kind: string, fault: Fault, random: Random): Promise<void> {
    const done: Done = { kind, weight, begun: this.ledger.now(), ended: 0, slowest: 0 };
    this.done.push(done);
    this.#recent.add(done);
    try {
      await fault({ ...this.parts, random });
    } finally {
      done.ended = this.ledger.now();
      if (weight !== "light") {
        const { acknowledged, gaveUp, wrong } = this.ledger;
        const so = `${acknowledged} acknowledged, ${gaveUp} given up, ${wrong} wrong`;
        this.say(`${this.done.length} faults; ${kind}: whole again after ${done.ended - done.begun} ms; ${so}`);
      }
      setTimeout(() => this.#recent.delete(done), tailMs).unref();
    }
  }
}
