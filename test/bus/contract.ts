/**
 * What every driver of the bus does, as one suite run on each of them. A driver's own behaviour
 * (restarts, faults) is tested beside it.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import type { JournalMessage } from "../../src/bus/journal.ts";
import type { RecordEntry, RecordName } from "../../src/bus/records.ts";
import { until } from "../support/until.ts";
import { blobsContract, registryContract, timeContract, wireContract } from "./contract-others.ts";
import { all, read, seqOf, text } from "./contract-support.ts";

export interface Driver {
  /** Two nodes on one fresh store of 4 partitions over 2 streams. */
  open(): Promise<{ bus: Bus; other: Bus; close(): Promise<void> }>;
}

export function busContract(name: string, driver: Driver): void {
  describe(`bus contract: ${name}`, () => {
    let bus: Bus;
    let other: Bus;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ bus, other, close } = await driver.open());
    });
    afterAll(() => close());
    journalContract(() => bus);
    followContract(() => ({ bus, other }));
    recordsContract(() => bus);
    registryContract(() => bus);
    blobsContract(() => bus);
    wireContract(() => ({ bus, other }));
    timeContract(() => bus);
  });
}

function journalContract(get: () => Bus): void {
  describe("journal", () => {
    /** Appends one after the other; gives the sequences. */
    async function append(partition: number, ...bodies: string[]): Promise<number[]> {
      const { journal } = get();
      const seqs: number[] = [];
      let last = (await journal.last(partition))?.seq ?? 0;
      for (const body of bodies) {
        last = seqOf(await journal.append(partition, text(body), last));
        seqs.push(last);
      }
      return seqs;
    }

    it("knows its shape", () => {
      const { journal } = get();
      expect([journal.partitions, journal.streams, journal.streamOf(3)]).toEqual([4, 2, 1]);
      expect(journal.payloadBytesMax).toBeGreaterThan(1_000_000);
    });

    it("begins empty: no last message, first sequence 0, and only 0 is expected", async () => {
      const { journal } = get();
      expect(await journal.last(0)).toBeNull();
      expect(await journal.bounds(0)).toEqual({ firstSeq: 0, lastSeq: 0 });
      expect(await all(journal.read(0, 1, 1_000))).toEqual([]);
      expect(await journal.append(0, text("x"), 7)).toEqual({ kind: "refused", lastSeq: 0 });
      expect((await journal.append(0, text("first"), 0)).kind).toBe("stored");
    });

    it("refuses a wrong expectation and names the last sequence; nothing is stored", async () => {
      const { journal } = get();
      const [a, b] = await append(0, "a", "b");
      for (const wrong of [0, a ?? 0, (b ?? 0) + 1]) {
        expect(await journal.append(0, text("c"), wrong)).toEqual({ kind: "refused", lastSeq: b });
      }
      expect((await journal.last(0))?.seq).toBe(b);
    });

    it("the same bytes sent again after they were stored are refused with their own sequence", async () => {
      const { journal } = get();
      const before = (await journal.last(1))?.seq ?? 0;
      const bytes = randomBytes(100);
      const seq = seqOf(await journal.append(1, bytes, before));
      const again = await journal.append(1, bytes, before);
      expect(again).toEqual({ kind: "refused", lastSeq: seq });
      const found = await journal.get(1, seq);
      expect(Buffer.compare(Buffer.from(found?.bytes ?? []), bytes)).toBe(0);
    });

    it("lets exactly one of two appends with one expectation in", async () => {
      const { journal } = get();
      for (let i = 0; i < 20; i++) {
        const before = (await journal.last(2))?.seq ?? 0;
        const outcomes = await Promise.all(["x", "y", "z"].map((body) => journal.append(2, text(body), before)));
        const stored = outcomes.filter((o) => o.kind === "stored");
        expect(stored).toHaveLength(1);
        const seq = seqOf(stored[0] ?? { kind: "refused", lastSeq: 0 });
        for (const o of outcomes) if (o.kind !== "stored") expect(o).toEqual({ kind: "refused", lastSeq: seq });
      }
    });

    it("keeps the expectations of partitions of one stream apart", async () => {
      const { journal } = get();
      const [one] = await append(1, "one");
      const [three] = await append(3, "three");
      expect(three).toBeGreaterThan(one ?? 0);
      expect((await journal.append(1, text("two"), one ?? 0)).kind).toBe("stored");
      expect(await journal.get(3, one ?? 0)).toBeNull();
      expect(await journal.get(1, three ?? 0)).toBeNull();
      expect(read((await journal.get(3, three ?? 0))?.bytes ?? text(""))).toBe("three");
      expect(await journal.get(3, 1_000_000)).toBeNull();
      expect(await journal.get(3, 0)).toBeNull();
    });

    it("reads a range of one partition, in order, with its bounds inside", async () => {
      const { journal } = get();
      const evens = await append(0, "0", "1", "2");
      await append(2, "between");
      const more = await append(0, "3", "4");
      const seqs = [...evens, ...more];
      const whole = await all(journal.read(0, seqs[0] ?? 0, seqs[4] ?? 0));
      expect(whole.map((m) => read(m.bytes))).toEqual(["0", "1", "2", "3", "4"]);
      expect(whole.map((m) => m.seq)).toEqual(seqs);
      expect(new Set(whole.map((m) => m.partition))).toEqual(new Set([0]));
      const part = await all(journal.read(0, (seqs[0] ?? 0) + 1, (seqs[3] ?? 0) - 1));
      expect(part.map((m) => read(m.bytes))).toEqual(["1", "2"]);
      const open = await all(journal.read(0, seqs[3] ?? 0, Number.MAX_SAFE_INTEGER));
      expect(open.map((m) => read(m.bytes))).toEqual(["3", "4"]);
      expect(await all(journal.read(0, (seqs[4] ?? 0) + 1, Number.MAX_SAFE_INTEGER))).toEqual([]);
      expect(await all(journal.read(0, 9, 3))).toEqual([]);
    });

    it("a reader that stops early leaves nothing behind", async () => {
      const { journal } = get();
      const [first] = await append(0, "a", "b", "c");
      for await (const m of journal.read(0, first ?? 0, Number.MAX_SAFE_INTEGER)) {
        expect(read(m.bytes)).toBe("a");
        break;
      }
      expect((await append(0, "d")).length).toBe(1);
    });

    it("stamps messages with the server's time", async () => {
      const { journal, clock } = get();
      const [seq] = await append(0, "now");
      const at = (await journal.last(0))?.at ?? 0;
      expect(Math.abs(clock.now() - at)).toBeLessThan(1_000);
      expect((await all(journal.read(0, seq ?? 0, seq ?? 0)))[0]?.at).toBe(at);
    });

    it("trims below a sequence; expectations of a trimmed partition hold", async () => {
      const { journal } = get();
      const seqs = await append(3, "a", "b", "c", "d");
      const last = seqs[3] ?? 0;
      await journal.trim(3, last);
      expect(await journal.get(3, seqs[0] ?? 0)).toBeNull();
      expect((await all(journal.read(3, 1, last))).map((m) => read(m.bytes))).toEqual(["d"]);
      expect(await journal.append(3, text("e"), 0)).toEqual({ kind: "refused", lastSeq: last });
      const e = seqOf(await journal.append(3, text("e"), last));
      expect((await journal.last(3))?.seq).toBe(e);
      // Others of the same stream are untouched.
      expect((await journal.last(1))?.seq).toBeGreaterThan(0);
      const bounds = await journal.bounds(journal.streamOf(3));
      expect(bounds.lastSeq).toBe(e);
      expect(bounds.firstSeq).toBeGreaterThan(0);
    });

    it("carries a message of the largest size and refuses a larger one loudly", async () => {
      const { journal } = get();
      const before = (await journal.last(2))?.seq ?? 0;
      const bytes = randomBytes(journal.payloadBytesMax);
      const seq = seqOf(await journal.append(2, bytes, before));
      expect(Buffer.compare((await journal.get(2, seq))?.bytes ?? text(""), bytes)).toBe(0);
      await expect(journal.append(2, new Uint8Array(bytes.length + 2_000), seq)).rejects.toThrow(/bytes/);
    });
  });
}

function followContract(get: () => { bus: Bus; other: Bus }): void {
  describe("follow", () => {
    it("gives every message of a stream from a sequence on, then new ones, in order", async () => {
      const { bus, other } = get();
      const first = (await bus.journal.bounds(1)).lastSeq + 1;
      let lasts = [1, 3].map(() => 0);
      lasts = await Promise.all([1, 3].map(async (p) => (await bus.journal.last(p))?.seq ?? 0));
      const write = async (count: number) => {
        for (let i = 0; i < count; i++) {
          const k = i % 2;
          lasts[k] = seqOf(await bus.journal.append(k === 0 ? 1 : 3, text(String(i)), lasts[k] ?? 0));
        }
      };
      await write(50);
      const seen: JournalMessage[] = [];
      const follower = await other.journal.follow(1, first, (m) => seen.push(m));
      await write(50);
      await until(() => seen.length >= 100);
      expect(seen.map((m) => m.seq)).toEqual(Array.from({ length: 100 }, (_, i) => first + i));
      expect(seen.every((m, i) => m.partition === (i % 2 === 0 ? 1 : 3))).toBe(true);
      expect(seen.map((m) => read(m.bytes)).slice(0, 50)).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
      await follower.stop();
      await write(2);
      expect(seen).toHaveLength(100);
    });

    it("from 0 gives only what comes", async () => {
      const { bus } = get();
      const seen: string[] = [];
      const follower = await bus.journal.follow(0, 0, (m) => seen.push(read(m.bytes)));
      const last = (await bus.journal.last(0))?.seq ?? 0;
      await bus.journal.append(0, text("new"), last);
      await until(() => seen.length > 0);
      expect(seen).toEqual(["new"]);
      await follower.stop();
    });
  });
}

function recordsContract(get: () => Bus): void {
  describe("records", () => {
    const scan = (partition: number, prefix: RecordName): Promise<({ name: RecordName } & RecordEntry)[]> =>
      all(get().records.scan(partition, prefix));

    it("writes over exactly the expected sequence", async () => {
      const { records } = get();
      const name = ["task", "a b/ü.*>"];
      expect(await records.get(0, name)).toBeNull();
      expect(await records.put(0, name, text("0"), 3)).toEqual({ kind: "refused", lastSeq: 0 });
      const first = seqOf(await records.put(0, name, text("1"), 0));
      expect(await records.put(0, name, text("2"), 0)).toEqual({ kind: "refused", lastSeq: first });
      const second = seqOf(await records.put(0, name, text("2"), first));
      const entry = await records.get(0, name);
      expect([read(entry?.bytes ?? text("")), entry?.seq]).toEqual(["2", second]);
      expect(await records.put(0, name, text("3"), first)).toEqual({ kind: "refused", lastSeq: second });
    });

    it("keeps partitions and names apart", async () => {
      const { records } = get();
      await records.put(1, ["x"], text("1"), 0);
      await records.put(3, ["x"], text("3"), 0);
      await records.put(1, ["x", "y"], text("deeper"), 0);
      expect(read((await records.get(1, ["x"]))?.bytes ?? text(""))).toBe("1");
      expect(read((await records.get(3, ["x"]))?.bytes ?? text(""))).toBe("3");
      expect(read((await records.get(1, ["x", "y"]))?.bytes ?? text(""))).toBe("deeper");
      expect(await records.get(1, ["y"])).toBeNull();
    });

    it("removes only up to a sequence; afterwards 0 is expected", async () => {
      const { records } = get();
      const name = ["gone", "1"];
      const first = seqOf(await records.put(2, name, text("1"), 0));
      const second = seqOf(await records.put(2, name, text("2"), first));
      await records.remove(2, name, first);
      expect((await records.get(2, name))?.seq).toBe(second);
      await records.remove(2, name, second);
      expect(await records.get(2, name)).toBeNull();
      await records.remove(2, name, second);
      expect(await records.put(2, name, text("3"), second)).toEqual({ kind: "refused", lastSeq: 0 });
      expect((await records.put(2, name, text("3"), 0)).kind).toBe("stored");
    });

    it("knows its highest sequence, also of what was written over or removed", async () => {
      const { records } = get();
      const before = await records.lastSeq(2);
      const first = seqOf(await records.put(2, ["high"], text("a"), 0));
      const second = seqOf(await records.put(2, ["high"], text("b"), first));
      expect(second).toBeGreaterThan(before);
      expect(await records.lastSeq(2)).toBe(second);
      await records.remove(2, ["high"], second);
      expect(await records.lastSeq(2)).toBe(second);
    });

    it("scans by whole tokens of the prefix, in order of sequence", async () => {
      const { records } = get();
      const names = [
        ["s", "b"],
        ["s", "a", "1"],
        ["s", "a"],
        ["st", "a"],
        ["s", "ab"],
        ["s", "a", "2", "x"],
      ];
      for (const name of names) await records.put(3, name, text(name.join("/")), 0);
      const first = await records.get(3, ["s", "b"]);
      await records.put(3, ["s", "b"], text("s/b again"), first?.seq ?? 0);
      const s = await scan(3, ["s"]);
      expect(s.map((r) => r.name.join("/"))).toEqual(["s/a/1", "s/a", "s/ab", "s/a/2/x", "s/b"]);
      expect(read(s[4]?.bytes ?? text(""))).toBe("s/b again");
      expect((await scan(3, ["s", "a"])).map((r) => r.name.join("/"))).toEqual(["s/a/1", "s/a", "s/a/2/x"]);
      expect(await scan(3, ["nothing"])).toEqual([]);
      const everything = await scan(3, []);
      expect(everything.map((r) => r.name.join("/"))).toContain("st/a");
      expect(everything.map((r) => r.seq)).toEqual(everything.map((r) => r.seq).sort((a, b) => a - b));
    });

    it("scans a thousand", async () => {
      const { records } = get();
      await Promise.all(
        Array.from({ length: 1_000 }, (_, i) => records.put(1, ["many", String(i)], randomBytes(200), 0)),
      );
      expect(new Set((await scan(1, ["many"])).map((r) => r.name[1])).size).toBe(1_000);
    });
  });
}
