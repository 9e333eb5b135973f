/**
 * Brings actors into memory for a partition: items for one that is not there are parked until it is;
 * on activation its reminders go into the heap, and lost work (of dead processes, or dropped by live ones) goes
 * back to it.
 */
import { type Address, formatAddress } from "../machines/address.ts";
import { TroupeError } from "../machines/errors.ts";
import { namesPerQuestion, type WorkName } from "./custody.ts";
import type { Entry } from "./entry.ts";
import type { PendingWork } from "./group.ts";
import type { Inbox, Item } from "./inbox.ts";
import type { Loader } from "./loader.ts";
import type { Measures } from "./measures.ts";
import type { ReminderHeap } from "./reminders.ts";
import type { PartitionState } from "./state.ts";

export interface ActivationEnvironment {
  readonly state: PartitionState;
  readonly loader: Loader;
  readonly inbox: Inbox;
  readonly reminders: ReminderHeap;
  readonly boot: string;
  readonly measures: Measures;
  isLive(boot: string): boolean;
  /** Whether this process has the work. */
  holdsWork(address: Address, id: string): boolean;
  /** Which of these a live process does not keep; null: no answer. */
  askCustody(boot: string, names: readonly WorkName[]): Promise<readonly WorkName[] | null>;
  stopped(): boolean;
  wake(): void;
  onFault(error: Error): void;
}

const loadsAtOnce = 64;

export class Activation {
  readonly #env: ActivationEnvironment;
  readonly #parked = new Map<string, Item[]>();
  readonly #armed = new WeakSet<Entry>();
  /** Entries with work that other processes were given. */
  readonly #elsewhere = new Set<Entry>();
  /** Work whose actor has been told that it is lost. */
  readonly #lost = new WeakSet<PendingWork>();
  #reviewing = false;

  constructor(env: ActivationEnvironment) {
    this.#env = env;
  }

  /** Keeps the item until its actor is in memory; items of one actor keep their order. */
  park(item: Item): void {
    const name = formatAddress(item.address);
    const parked = this.#parked.get(name);
    if (parked !== undefined) {
      parked.push(item);
      return;
    }
    this.#parked.set(name, [item]);
    void this.load(item.address).then(() => {
      const items = this.#parked.get(name) ?? [];
      this.#parked.delete(name);
      if (this.#env.stopped()) return;
      if (this.#env.state.stepper(item.address.type) === undefined) refuseUnknown(items);
      else this.#env.inbox.unshift(items);
      this.#env.wake();
    });
  }

  /** Everything parked, taken out (when the partition is lost). */
  clear(): Item[] {
    const items = [...this.#parked.values()].flat();
    this.#parked.clear();
    return items;
  }

  /** As `activate`; a failure is the partition's. */
  async load(address: Address): Promise<void> {
    try {
      await this.activate(address);
    } catch (error) {
      this.#env.onFault(error as Error);
    }
  }

  /** Some at a time: there may be as many as the partition has actors. */
  async loadAll(addresses: readonly Address[]): Promise<void> {
    const left = addresses[Symbol.iterator]();
    const worker = async () => {
      for (const address of left) if (!this.#env.stopped()) await this.load(address);
    };
    await Promise.all(Array.from({ length: loadsAtOnce }, worker));
  }

  /** The actor in memory; undefined when its type is unknown. */
  async activate(address: Address): Promise<Entry | undefined> {
    const { state, loader } = this.#env;
    const stepper = state.stepper(address.type);
    if (stepper === undefined) return undefined;
    const before = state.entries.get(formatAddress(address));
    const entry = await loader.load(address, stepper);
    if (before === undefined && !this.#armed.has(entry)) this.#arm(entry);
    return entry;
  }

  /** Once per activation. */
  #arm(entry: Entry): void {
    const { reminders, boot } = this.#env;
    this.#armed.add(entry);
    this.#env.measures.activations++;
    for (const [name, r] of entry.reminders ?? []) {
      reminders.add({ at: r.at, address: entry.address, name, arming: r.arming });
    }
    for (const [id, work] of entry.work ?? []) {
      if (work.boot !== boot) this.#elsewhere.add(entry);
      else if (!this.#env.holdsWork(entry.address, id)) this.#lose(entry, id, "it was never begun");
    }
    this.#env.wake();
  }

  /**
   * Looks after work that was given out before the partition came here: it goes on where it runs. It is lost
   * when that process is gone, or says that it does not keep it. Called now and then, and when members change.
   */
  async review(): Promise<void> {
    if (this.#reviewing || this.#elsewhere.size === 0) return;
    this.#reviewing = true;
    try {
      for (const [boot, work] of this.#byBoot()) {
        if (this.#env.isLive(boot)) await this.#ask(boot, work);
        else for (const { entry, id } of work) this.#lose(entry, id, "the process that ran it is gone");
      }
    } finally {
      this.#reviewing = false;
    }
  }

  #byBoot(): Map<string, { entry: Entry; id: string }[]> {
    const byBoot = new Map<string, { entry: Entry; id: string }[]>();
    for (const entry of this.#elsewhere) {
      let some = false;
      for (const [id, { boot }] of entry.work ?? []) {
        if (boot === this.#env.boot) continue;
        some = true;
        const list = byBoot.get(boot);
        if (list === undefined) byBoot.set(boot, [{ entry, id }]);
        else list.push({ entry, id });
      }
      if (!some) this.#elsewhere.delete(entry);
    }
    return byBoot;
  }

  async #ask(boot: string, work: readonly { entry: Entry; id: string }[]): Promise<void> {
    for (let from = 0; from < work.length && !this.#env.stopped(); from += namesPerQuestion) {
      const part = work.slice(from, from + namesPerQuestion);
      const names = part.map(({ entry, id }) => ({ address: entry.address, id }));
      const dropped = new Set(await this.#env.askCustody(boot, names));
      part.forEach(({ entry, id }, i) => {
        const kept = !dropped.has(names[i] as WorkName) || entry.work?.get(id)?.boot !== boot;
        if (!kept) this.#lose(entry, id, "the process that had it gave it back");
      });
    }
  }

  #lose(entry: Entry, id: string, reason: string): void {
    const work = entry.work?.get(id);
    if (work === undefined || this.#lost.has(work) || this.#env.stopped()) return;
    this.#lost.add(work);
    this.#env.inbox.push({ kind: "own", address: entry.address, command: { type: "work.lose", id, reason } });
    this.#env.wake();
  }
}

function refuseUnknown(items: readonly Item[]): void {
  for (const item of items) {
    if (item.kind === "ask") item.fail(new TroupeError("not_found", `There is no actor type ${item.address.type}.`));
  }
}
