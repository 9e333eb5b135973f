/** The partition's tables against naive models of them: channels, askers, the index. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { AskerChanges, Askers } from "../../src/actors/askers.ts";
import { Channels } from "../../src/actors/channels.ts";
import type { Letter } from "../../src/actors/group.ts";
import { comparePlaces, Listing } from "../../src/actors/listing.ts";

const letter = (text: number): Letter => ({ to: { type: "t", key: "k" }, command: { type: "hear", text } });

/** One thing that happens on a channel. */
const happening = fc.oneof(
  fc.record({ what: fc.constant("send" as const), n: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ what: fc.constant("transmit" as const), fate: fc.constantFrom("lost", "arrives", "no answer", "late") }),
  fc.record({ what: fc.constant("late answer" as const) }),
  fc.record({ what: fc.constant("flush" as const) }),
  fc.record({ what: fc.constant("replace" as const) }),
);

test("a channel delivers each letter once and in order, whatever is lost, late or replaced", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60, size: "max" }), (list) => {
      let channels = new Channels(1000);
      let receiver = 0;
      const arrived: unknown[] = [];
      const journal: { seq: number; mail: [number, number, Letter][]; acked: [number, number][] }[] = [];
      let record = { out: [] as [number, number, number][], upTo: 0 };
      /** The journal must be kept from here: what is not in the record, and what is not acknowledged. */
      let metaSince = 0;
      let sent = 0;
      const late: number[] = [];
      const commit = (n: number) => {
        const seq = journal.length + 1;
        const mail = Array.from({ length: n }, (_, i) => {
          sent++;
          return [7, channels.nextNumber(7, i), letter(sent)] as [number, number, Letter];
        });
        const acked = channels.takeAcked();
        journal.push({ seq, mail, acked });
        channels.sent(mail, seq);
        if (mail.length + acked.length > 0 && metaSince === 0) metaSince = seq;
      };
      const acknowledge = (number: number) => {
        const from = channels.acknowledge(7, number);
        if (from > 0 && (metaSince === 0 || from < metaSince)) metaSince = from;
      };
      const receive = (numbers: ReturnType<Channels["take"]>) => {
        for (const { number, letter: one } of numbers) {
          if (number !== receiver + 1) continue;
          receiver = number;
          arrived.push(one.command.text);
        }
        return receiver;
      };
      const act = (h: (typeof list)[number]) => {
        if (h.what === "send") commit(h.n);
        else if (h.what === "flush") {
          record = { out: channels.dump().out, upTo: journal.length };
          metaSince = 0;
        } else if (h.what === "late answer") {
          const number = late.shift();
          if (number !== undefined) acknowledge(number);
        } else if (h.what === "transmit") {
          const taken = channels.take(7, 2, 1e6);
          if (h.fate !== "lost" && taken.length > 0) {
            const cursor = receive(taken);
            if (h.fate === "arrives") acknowledge(cursor);
            if (h.fate === "late") late.push(cursor);
          }
          channels.landed(7);
        } else {
          const marks = [metaSince, channels.oldestSeq()].filter((seq) => seq > 0);
          const floor = Math.min(journal.length + 1, ...marks);
          const next = new Channels(1000);
          for (const [to, last, acked] of record.out) next.restoreOut(to, last, acked);
          metaSince = 0;
          for (const g of journal.filter((one) => one.seq >= floor)) {
            const newer = g.seq > record.upTo;
            for (const seq of [next.replay(g.mail, newer ? g.acked : [], g.seq), newer ? g.seq : 0])
              if (seq > 0 && (metaSince === 0 || seq < metaSince)) metaSince = seq;
          }
          channels = next;
          late.length = 0;
        }
      };
      for (const h of list) act(h);
      for (let i = 0; i < 200 && channels.backlog(7) > 0; i++) act({ what: "transmit", fate: "arrives" });
      expect(arrived).toEqual(Array.from({ length: sent }, (_, i) => i + 1));
      expect(channels.backlog(7)).toBe(0);
      expect(channels.oldestSeq()).toBe(0);
    }),
    { numRuns: 500 },
  );
});

test("the table of command ids knows every one that is still awaited, and acts on none that is not", () => {
  const ask = fc.record({ boot: fc.constantFrom("x", "y"), ahead: fc.nat(4), ends: fc.nat(5), group: fc.boolean() });
  fc.assert(
    fc.property(fc.array(ask, { maxLength: 80, size: "max" }), (list) => {
      let table = new Askers();
      let group = new AskerChanges();
      const clients = new Map<string, { next: number; open: Set<number>; done: Map<number, number> }>();
      let reply = 0;
      for (const { boot, ahead, ends, group: close } of list) {
        let client = clients.get(boot);
        if (client === undefined) {
          client = { next: 1, open: new Set(), done: new Map() };
          clients.set(boot, client);
        }
        // Some numbers go to other partitions; some asks end.
        client.next += ahead;
        for (const number of [...client.open].slice(0, ends)) client.open.delete(number);
        const number = client.next++;
        client.open.add(number);
        const low = Math.min(...client.open);
        const id = { boot, number, low };
        expect(table.find(id) ?? group.find(id)).toBeUndefined();
        expect(table.passed(id) || group.passed(id)).toBe(false);
        group.add(id, 1000, ++reply);
        client.done.set(number, reply);
        if (!close) continue;
        table.apply(group.toChanges());
        group = new AskerChanges();
        // A new owner knows the same.
        const copy = new Askers();
        copy.apply(table.dump());
        table = copy;
        for (const [b, c] of clients) {
          for (const [n, value] of c.done) {
            const repeated = { boot: b, number: n, low: n };
            const known = table.find(repeated)?.reply;
            if (c.open.has(n)) expect(known).toBe(value);
            // Forgotten: then it is known to be past, so that a late copy cannot act again.
            else expect(known === value || table.passed(repeated)).toBe(true);
          }
        }
      }
      table.forget(2000);
      expect(table.dump()).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test("the index answers as filtering and sorting all rows would, page by page", () => {
  const row = fc.record({
    key: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"),
    type: fc.constantFrom("t", "u"),
    created: fc.nat(4),
    colour: fc.constantFrom("red", "blue"),
    tags: fc.subarray(["x", "y"]),
    hidden: fc.boolean(),
    look: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 60, size: "max" }), (list) => {
      const listing = new Listing();
      const model = new Map<string, (typeof list)[number]>();
      const check = () => {
        for (const type of ["t", "u"]) {
          for (const where of [{}, { colour: "red" }, { tags: "x" }, { colour: "blue", tags: "y" }, { created: 2 }]) {
            const wanted = [...model.values()]
              .filter((r) => r.type === type && !r.hidden)
              .filter((r) =>
                Object.entries(where).every(([f, v]) => {
                  const own = r[f as "colour" | "tags" | "created"];
                  return Array.isArray(own) ? own.includes(v as string) : own === v;
                }),
              )
              .sort((a, b) => comparePlaces(b.created, b.key, a.created, a.key))
              .map((r) => r.key);
            const found: string[] = [];
            for (let after: { created: number; key: string } | null = null; ; ) {
              const page = listing.query(type, where, after, 2);
              found.push(...page.map((r) => r.address.key));
              const last = page.at(-1);
              if (last === undefined) break;
              after = { created: last.created, key: last.address.key };
            }
            expect(found).toEqual(wanted);
          }
        }
      };
      for (const r of list) {
        const { key, type, created, colour, tags, hidden } = r;
        model.set(`${type}/${key}`, r);
        listing.set(`${type}/${key}`, { type, key }, hidden ? null : { created, colour, tags });
        if (r.look) check();
      }
      check();
      expect(listing.size).toBe(model.size);
    }),
    { numRuns: 60 },
  );
});
