/**
 * Brings actors into memory for a partition: items for one that is not there are parked until it is;
 * on activation its reminders go into the heap, and work of dead processes goes back to it.
 */
import { type Address, formatAddress } from "../machines/address.ts";
import { TroupeError } from "../machines/errors.ts";
import type { Entry } from "./entry.ts";
import type { Inbox, Item } from "./inbox.ts";
import type { Loader } from "./loader.ts";
import type { ReminderHeap } from "./reminders.ts";
import type { PartitionState } from "./state.ts";

export interface ActivationEnvironment {
  readonly state: PartitionState;
  readonly loader: Loader;
  readonly inbox: Inbox;
  readonly reminders: ReminderHeap;
  readonly boot: string;
  isLive(boot: string): boolean;
  stopped(): boolean;
  wake(): void;
  onFault(error: Error): void;
}

export class Activation {
  readonly #env: ActivationEnvironment;
  readonly #parked = new Map<string, Item[]>();
  readonly #armed = new WeakSet<Entry>();

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
    const { reminders, boot, inbox } = this.#env;
    this.#armed.add(entry);
    for (const [name, r] of entry.reminders ?? []) {
      reminders.add({ at: r.at, address: entry.address, name, arming: r.arming });
    }
    for (const [id, work] of entry.work ?? []) {
      if (work.boot === boot || this.#env.isLive(work.boot)) continue;
      const command = { type: "work.lose", id, reason: "the process that ran it is gone" };
      inbox.push({ kind: "own", address: entry.address, command });
    }
    this.#env.wake();
  }
}

function refuseUnknown(items: readonly Item[]): void {
  for (const item of items) {
    if (item.kind === "ask") item.fail(new TroupeError("not_found", `There is no actor type ${item.address.type}.`));
  }
}
