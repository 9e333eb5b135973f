/**
 * Checks a partition's records against its journal: decodable, not ahead of it, of a group on its chain,
 * their parts and pages whole, and the tail going on where they end: what a take-over and every
 * activation after it would meet. A record overwritten during the scan may be missed by it, so what seems
 * absent is asked for once more.
 */
import type { Bus } from "../../bus/bus.ts";
import type { Codec } from "../../bus/codec.ts";
import type { RecordName } from "../../bus/records.ts";
import { type Address, rootOf } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { applyDifference } from "../difference.ts";
import type { ActorChange } from "../group.ts";
import { type PackedEvent, pageEvents } from "../histories.ts";
import {
  type ActorRecord,
  decodeActor,
  decodeChunk,
  decodeHistory,
  decodePage,
  decodePartition,
  type HistoryRecord,
  names,
  type Reflects,
  unpackSnapshot,
} from "../stored.ts";
import type { JournalCheck } from "./journal-check.ts";
import type { References } from "./references.ts";
import type { Problems } from "./report.ts";

const triesMax = 5;

export interface RecordsEnvironment {
  readonly bus: Bus;
  readonly codec: Codec;
  readonly partition: number;
  readonly journal: JournalCheck;
  readonly problems: Problems;
  readonly references: References;
}

export class RecordsCheck {
  records = 0;
  bytes = 0;
  /** Step of every actor's record. */
  readonly actors = new Map<string, number>();
  /** Number of the last event of every root's record. */
  readonly histories = new Map<string, number>();
  events = 0;
  /** Highest group that any record reflects. */
  numberMax = 0;
  readonly #env: RecordsEnvironment;
  readonly #pages = new Map<string, Set<number>>();
  readonly #counted = new Map<string, number>();
  /** Actors that events name: each must have a record or begin in the tail. */
  readonly #named = new Set<string>();
  readonly #later: { place: string; reflects: Reflects }[] = [];

  constructor(env: RecordsEnvironment) {
    this.#env = env;
  }

  /** Goes through all records of the partition. */
  async scan(): Promise<void> {
    const { bus, partition, problems } = this.#env;
    for await (const { name, bytes } of bus.records.scan(partition, [])) {
      this.records++;
      this.bytes += bytes.length;
      const place = placeOf(name);
      try {
        await this.#take(name, bytes, place);
      } catch (error) {
        problems.caught(place, error);
        // Named already; what refers to it need not be called missing too.
        if (name[0] === "a") this.actors.set(`${name[1]}/${name[2]}`, Number.NaN);
        if (name[0] === "h") this.histories.set(name[1] ?? "", Number.NaN);
        if (name[0] === "e") this.#page(name[1] ?? "", Number(name[2]));
      }
    }
  }

  /** Only the partition's own record, for the channels' positions. */
  async scanPartitionRecord(): Promise<void> {
    const { bus, partition } = this.#env;
    const found = await bus.records.get(partition, names.partition);
    if (found !== null) await this.#take(names.partition, found.bytes, placeOf(names.partition));
  }

  async #take(name: RecordName, bytes: Uint8Array, place: string): Promise<void> {
    const { codec, problems, references, journal } = this.#env;
    const [kind, first = "", second = ""] = name;
    if (kind === "a" && name.length === 3) {
      await this.#actor({ type: first, key: second }, decodeActor(codec, bytes), place);
    } else if (kind === "h" && name.length === 2) {
      this.#history(first, decodeHistory(codec, bytes), place);
    } else if (kind === "e" && name.length === 3) {
      const page = Number(second);
      this.#page(first, page);
      const events = decodePage(codec, bytes);
      references.take(events, place);
      this.#checkEvents(first, events, page * pageEvents + 1, place);
      if (events.length !== pageEvents)
        problems.add(place, "contradiction", `The page has ${events.length} events; full pages have ${pageEvents}.`);
    } else if (kind === "c" && name.length === 5) {
      decodeChunk(codec, bytes);
    } else if (kind === "m" && name.length === 1) {
      const record = decodePartition(codec, bytes);
      references.take(record.askers, place);
      this.#reflects(record, place);
      journal.positions.takeRecord(record.out, record.cursors);
    } else {
      problems.add(place, "contradiction", "Troupe has no record of this name.");
    }
  }

  async #actor(address: Address, found: ActorRecord, place: string): Promise<void> {
    const { references } = this.#env;
    this.#reflects(found, place);
    this.actors.set(`${address.type}/${address.key}`, found.step);
    references.take(found.reminders, place);
    references.take(found.work, place);
    const whole = await this.#whole(address, found, place);
    if (whole !== undefined) references.take(whole.snapshot, place);
  }

  /** The record with its snapshot put together; reads it again when the owner replaces it meanwhile. */
  async #whole(address: Address, found: ActorRecord, place: string) {
    const { bus, codec, partition, problems } = this.#env;
    let record = found;
    for (let tries = 1; ; tries++) {
      if (record.chunks === 0) return { record, snapshot: unpackSnapshot(record.snapshot) };
      const parts: Uint8Array[] = [];
      let missing = -1;
      for (let i = 0; i < record.chunks && missing < 0; i++) {
        const part = await bus.records.get(partition, names.chunk(address, record.step, i));
        if (part === null) missing = i;
        else parts.push(decodeChunk(codec, part.bytes));
      }
      if (missing < 0) return { record, snapshot: unpackSnapshot(Buffer.concat(parts)) };
      const again = await bus.records.get(partition, names.actor(address));
      const newer = again === null ? undefined : decodeActor(codec, again.bytes);
      if (newer === undefined || newer.step === record.step || tries >= triesMax) {
        problems.add(place, "missing", `Part ${missing} of ${record.chunks} of its snapshot is not there.`);
        return undefined;
      }
      record = newer;
    }
  }

  #history(root: string, record: HistoryRecord, place: string): void {
    const { problems, references } = this.#env;
    this.#reflects(record, place);
    this.histories.set(root, record.last);
    references.take(record.tail, place);
    this.#checkEvents(root, record.tail, record.pages * pageEvents + 1, place);
    if (record.pages * pageEvents + record.tail.length !== record.last)
      problems.add(
        place,
        "contradiction",
        `It says ${record.last} events, but ${record.pages} pages and ${record.tail.length} events do not make that.`,
      );
    this.#counted.set(root, record.pages);
  }

  #page(root: string, page: number): void {
    let pages = this.#pages.get(root);
    if (pages === undefined) {
      pages = new Set();
      this.#pages.set(root, pages);
    }
    pages.add(page);
  }

  #checkEvents(root: string, events: readonly PackedEvent[], first: number, place: string): void {
    this.events += events.length;
    events.forEach(([no, type, key, , name], i) => {
      // A dead letter may have been for nobody.
      if (name !== "dead_lettered") this.#named.add(`${type}/${key}`);
      if (rootOf(key) !== root)
        this.#env.problems.add(place, "contradiction", `Event ${no} is of ${type}/${key}, which has another root.`);
      if (no !== first + i)
        this.#env.problems.add(place, "broken_chain", `Event ${no} stands where event ${first + i} belongs.`);
    });
  }

  /** Against the chain as far as it is known; what is newer is kept for `settle`. */
  #reflects(record: Reflects, place: string): void {
    const { journal } = this.#env;
    this.numberMax = Math.max(this.numberMax, record.number);
    if (record.number > (journal.last?.number ?? 0)) this.#later.push({ place, reflects: pick(record) });
    else this.#onChain(record, place);
  }

  #onChain(record: Reflects, place: string): void {
    const { journal, problems } = this.#env;
    const checksum = journal.checksums.get(record.number);
    if (checksum !== undefined && checksum !== record.checksum)
      problems.add(
        place,
        "ahead_of_journal",
        `It reflects a group ${record.number} (${record.checksum}) that is not in the journal (${checksum}).`,
      );
  }

  /** After the journal has been read to an end behind the scan. */
  async settle(): Promise<void> {
    const { journal, problems } = this.#env;
    const end = journal.last?.number ?? 0;
    for (const { place, reflects } of this.#later) {
      if (reflects.number > end)
        problems.add(place, "ahead_of_journal", `It reflects group ${reflects.number}; the journal ends at ${end}.`);
      else this.#onChain(reflects, place);
    }
    await this.#settlePages();
    const changes = new Map<string, ActorChange[]>();
    const events = new Map<string, { no: number; place: string }[]>();
    for (const group of journal.tail) {
      this.#env.references.take([group.body.mail, group.events, group.body.askers], `journal ${group.seq}`);
      for (const change of group.body.actors) append(changes, `${change.type}/${change.key}`, change);
      for (const event of group.events) {
        this.events += event.no > (this.histories.get(event.root) ?? 0) ? 1 : 0;
        append(events, event.root, { no: event.no, place: `journal ${group.seq}` });
      }
    }
    for (const list of changes.values()) await this.#settleActor(list);
    for (const [root, list] of events) await this.#settleHistory(root, list);
    await this.#settleNamed(changes);
    await this.#settleFlushed();
    this.#checkLetters();
  }

  async #settlePages(): Promise<void> {
    const { bus, codec, partition, problems } = this.#env;
    for (const [root, pages] of this.#counted) {
      for (let page = 0; page < pages; page++) {
        if (this.#pages.get(root)?.has(page)) continue;
        const place = placeOf(names.page(root, page));
        const found = await bus.records.get(partition, names.page(root, page));
        if (found === null) {
          problems.add(place, "missing", `Page ${page} of ${pages} of the history of ${root} is not there.`);
          continue;
        }
        try {
          this.#checkEvents(root, decodePage(codec, found.bytes), page * pageEvents + 1, place);
        } catch (error) {
          problems.caught(place, error);
        }
      }
    }
    for (const root of this.#pages.keys()) {
      if (this.histories.has(root) || (await bus.records.get(partition, names.history(root))) !== null) continue;
      const born = this.#env.journal.tail.some((g) => g.events.some((e) => e.root === root && e.no === 1));
      if (!born) problems.add(placeOf(names.history(root)), "missing", `The history of ${root} has pages but no head.`);
    }
  }

  /** The actor as a take-over would load it: its record, and the tail's changes on it. */
  async #settleActor(changes: readonly ActorChange[]): Promise<void> {
    const { bus, codec, partition, problems, references } = this.#env;
    const { type, key } = changes[0] as ActorChange;
    const place = placeOf(names.actor({ type, key }));
    if (Number.isNaN(this.actors.get(`${type}/${key}`) ?? 0)) return;
    try {
      const stored = await bus.records.get(partition, names.actor({ type, key }));
      const whole =
        stored === null ? undefined : await this.#whole({ type, key }, decodeActor(codec, stored.bytes), place);
      if (stored !== null && whole === undefined) return;
      let step = whole?.record.step ?? 0;
      let snapshot = (whole?.snapshot ?? null) as unknown as Json;
      for (const change of changes) {
        if (change.step <= step) continue;
        if (change.since !== step) {
          const what = stored === null ? "It is not there" : `It has step ${step}`;
          problems.add(
            place,
            stored === null ? "missing" : "broken_chain",
            `${what}; the journal goes on from step ${change.since}.`,
          );
          return;
        }
        if (change.change !== null) snapshot = applyDifference(snapshot, change.change);
        step = change.step;
        references.take([change.reminders, change.work], place);
      }
      references.take(snapshot, place);
      this.actors.set(`${type}/${key}`, step);
    } catch (error) {
      problems.caught(place, error);
    }
  }

  async #settleHistory(root: string, tail: readonly { no: number; place: string }[]): Promise<void> {
    const { bus, codec, partition, problems } = this.#env;
    const place = placeOf(names.history(root));
    if (Number.isNaN(this.histories.get(root) ?? 0)) return;
    try {
      const stored = await bus.records.get(partition, names.history(root));
      let last = stored === null ? 0 : decodeHistory(codec, stored.bytes).last;
      for (const event of tail) {
        if (event.no <= last) continue;
        if (event.no !== last + 1) {
          const what = stored === null ? "It is not there" : `It ends at event ${last}`;
          problems.add(
            place,
            stored === null ? "missing" : "broken_chain",
            `${what}; the journal goes on with event ${event.no}.`,
          );
          return;
        }
        last = event.no;
      }
    } catch (error) {
      problems.caught(place, error);
    }
  }

  /** Who has emitted events exists. */
  async #settleNamed(tail: ReadonlyMap<string, unknown>): Promise<void> {
    const { bus, partition, problems } = this.#env;
    for (const name of this.#named) {
      if (this.actors.has(name) || tail.has(name)) continue;
      const cut = name.indexOf("/");
      const address = { type: name.slice(0, cut), key: name.slice(cut + 1) };
      if ((await bus.records.get(partition, names.actor(address))) !== null) continue;
      problems.add(placeOf(names.actor(address)), "missing", "It is not there, although the history has events of it.");
    }
  }

  /** What lies before the floor is in the records: one that has less was lost, or put back. */
  async #settleFlushed(): Promise<void> {
    const { bus, codec, partition, problems, journal } = this.#env;
    const say = (name: RecordName, has: number | undefined, wanted: number, what: string) => {
      const message = `${has === undefined ? "It is not there" : `It has ${what} ${has}`}, but the journal knows ${what} ${wanted} before its floor.`;
      problems.add(placeOf(name), has === undefined ? "missing" : "broken_chain", message);
    };
    for (const [actor, step] of journal.flushedSteps) {
      if (!(this.actors.get(actor) === undefined || (this.actors.get(actor) as number) < step)) continue;
      const cut = actor.indexOf("/");
      const name = names.actor({ type: actor.slice(0, cut), key: actor.slice(cut + 1) });
      const stored = await bus.records.get(partition, name);
      const has = stored === null ? undefined : decodeActor(codec, stored.bytes).step;
      if (has === undefined || has < step) say(name, has, step, "step");
    }
    for (const [root, no] of journal.flushedEvents) {
      if (!(this.histories.get(root) === undefined || (this.histories.get(root) as number) < no)) continue;
      const stored = await bus.records.get(partition, names.history(root));
      const has = stored === null ? undefined : decodeHistory(codec, stored.bytes).last;
      if (has === undefined || has < no) say(names.history(root), has, no, "event");
    }
  }

  /** Every letter that is not acknowledged must still be in the tail. */
  #checkLetters(): void {
    const { journal, problems } = this.#env;
    const present = new Map<number, Set<number>>();
    for (const group of journal.tail) {
      for (const [to, number] of group.body.mail) {
        let numbers = present.get(to);
        if (numbers === undefined) {
          numbers = new Set();
          present.set(to, numbers);
        }
        numbers.add(number);
      }
    }
    for (const [to, last] of journal.positions.sent) {
      for (let n = (journal.positions.acked.get(to) ?? 0) + 1; n <= last; n++) {
        if (present.get(to)?.has(n)) continue;
        problems.add(
          `channel to ${to}`,
          "missing",
          `Letter ${n} of ${last} is not acknowledged and not in the journal's tail.`,
        );
        break;
      }
    }
  }
}

function append<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function pick({ number, seq, checksum }: Reflects): Reflects {
  return { number, seq, checksum };
}

export function placeOf(name: RecordName): string {
  return `record ${name.join("/")}`;
}
