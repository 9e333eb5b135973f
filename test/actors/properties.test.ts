/** Pure parts of the runtime against naive ones: differences, codecs, patterns, cursors, placement. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeCursor, encodeCursor } from "../../src/actors/cursor.ts";
import { applyDifference, type Difference, difference } from "../../src/actors/difference.ts";
import { decodeGroup, decodeHead, encodeGroup, type Group } from "../../src/actors/group.ts";
import { matches, parsePattern } from "../../src/actors/pattern.ts";
import { ownerOf, partitionOf } from "../../src/actors/placement.ts";
import {
  decodeActor,
  decodeHistory,
  decodePage,
  decodePartition,
  encodeActor,
  encodeHistory,
  encodePage,
  encodePartition,
} from "../../src/actors/stored.ts";
import { loadCodec, pack, unpack } from "../../src/bus/codec.ts";
import { subjectMatches } from "../../src/bus/memory/broker.ts";
import type { Json, JsonObject } from "../../src/machines/effects.ts";

const keys = fc.oneof(
  fc.constantFrom("a", "b", "c", "constructor", "toString", "hasOwnProperty", "0", "1", "length", "prototype", ""),
  fc.string({ maxLength: 3 }).filter((k) => k !== "__proto__"),
);
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<Json>(null, true, false, 0, 1, -7, 3.5, "", "x", 2 ** 40),
    fc.string({ maxLength: 4 }),
    fc.array(tie("json"), { maxLength: 5 }),
    fc.dictionary(keys, tie("json"), { maxKeys: 5, noNullPrototype: true }),
  ),
}));

const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as Json;

/** One immutable edit somewhere inside, chosen by `path`: the rest stays the same by reference. */
function edit(value: Json, path: readonly number[], what: number, put: Json): Json {
  const [step, ...rest] = path;
  if (typeof value !== "object" || value === null || step === undefined) return put;
  if (Array.isArray(value)) {
    const list = value as readonly Json[];
    if (what % 4 === 0) return [...list, put];
    if (what % 4 === 1) return list.slice(0, -1);
    if (list.length === 0) return [put];
    const at = step % list.length;
    return list.map((item, i) => (i === at ? edit(item, rest, what, put) : item));
  }
  const object = value as JsonObject;
  const names = Object.keys(object);
  if (names.length === 0 || what % 5 === 0) return { ...object, constructor: put as never, fresh: put };
  const name = names[step % names.length] as string;
  if (what % 5 === 1) return { ...object, [name]: undefined };
  if (what % 5 === 2) return Object.fromEntries(Object.entries(object).filter(([k]) => k !== name));
  return { ...object, [name]: edit((object[name] ?? null) as Json, rest, what, put) };
}

const edits = fc.array(fc.tuple(fc.array(fc.nat(7), { minLength: 1, maxLength: 4 }), fc.nat(20), json), {
  maxLength: 5,
});

test("a difference, packed and applied to what was packed, gives what came after", () => {
  fc.assert(
    fc.property(json, edits, (before, list) => {
      const after = list.reduce((value, [path, what, put]) => edit(value, path, what, put), before);
      const change = difference(before, after);
      const stored = unpack(pack(before)) as Json;
      const next = change === undefined ? stored : applyDifference(stored, unpack(pack(change)) as Difference);
      expect(plain(next)).toEqual(plain(after));
      expect(plain(stored)).toEqual(plain(before));
    }),
    { numRuns: 1500 },
  );
});

test("between any two values there is a difference that leads from one to the other", () => {
  fc.assert(
    fc.property(json, json, (before, after) => {
      const change = difference(before, after);
      const next = change === undefined ? before : applyDifference(before, unpack(pack(change)) as Difference);
      expect(plain(next)).toEqual(plain(after));
    }),
    { numRuns: 1500 },
  );
});

test("what is the same object is not looked into", () => {
  const trap = new Proxy({}, { ownKeys: () => expect.unreachable("looked into") });
  const before = { kept: trap as never as Json, list: [trap as never as Json, 1], n: 1 };
  const after = { ...before, n: 2, list: [...before.list.slice(0, 1), 2] };
  expect(difference(before, after)).toEqual([1, { n: 2 }, { list: [2, 2, { 1: [0, 2] }] }, []]);
});

const text = fc.string({ minLength: 1, maxLength: 5 });
const object = fc.dictionary(keys, json, { maxKeys: 3, noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
const command = object.map((fields) => ({ ...fields, type: "do" }));
const number = fc.nat(1e9);
const sum = fc.stringMatching(/^[0-9a-f]{16}$/);
const reminder = fc.tuple(text, fc.option(fc.record({ at: number, arming: number, command })));
const work = fc.tuple(text, fc.option(fc.record({ kind: text, spec: object, boot: text })));
const asker = fc.tuple(text, number, number, fc.array(fc.tuple(number, json), { maxLength: 3 }));
const pairs = fc.array(fc.tuple(number, number), { maxLength: 3 });
const groups: fc.Arbitrary<Group> = fc.record({
  partition: number,
  number,
  time: number,
  horizon: number,
  events: fc.array(
    fc.record({ root: text, no: number, type: text, kind: text, key: text, name: text, data: object, at: number }),
    { maxLength: 3 },
  ),
  body: fc.record({
    epoch: number,
    owner: fc.option(text),
    prevSeq: number,
    prevChecksum: sum,
    floor: number,
    recordsSeq: number,
    actors: fc.array(
      fc.record({
        type: text,
        key: text,
        since: number,
        step: number,
        version: number,
        change: fc.option(json.map((value) => [0, value] as const)),
        reminders: fc.array(reminder, { maxLength: 2 }),
        work: fc.array(work, { maxLength: 2 }),
      }),
      { maxLength: 3 },
    ),
    mail: fc.array(fc.tuple(number, number, fc.record({ to: fc.record({ type: text, key: text }), command })), {
      maxLength: 2,
    }),
    cursors: pairs,
    acked: pairs,
    askers: fc.array(asker, { maxLength: 2 }),
  }),
});

test("a group is what it was after the journal, and a changed bit is found", async () => {
  const codec = await loadCodec();
  fc.assert(
    fc.property(groups, fc.nat(), fc.integer({ min: 1, max: 255 }), (group, at, flip) => {
      const { bytes, checksum } = encodeGroup(codec, group);
      const { checksum: found, ...back } = decodeGroup(codec, bytes);
      const wanted = { ...group, events: group.events.map((e) => ({ ...e, at: group.time })) };
      expect(plain(back)).toEqual(plain(wanted));
      expect(found).toBe(checksum);
      expect(plain(decodeHead(codec, bytes))).toEqual(plain({ ...wanted, body: undefined }));
      const damaged = bytes.slice();
      damaged[at % damaged.length] = (damaged[at % damaged.length] as number) ^ flip;
      expect(() => decodeGroup(codec, damaged)).toThrow();
    }),
    { numRuns: 300 },
  );
});

test("records are what they were, and none is read as another kind", async () => {
  const codec = await loadCodec();
  const reflects = { number, seq: number, checksum: sum };
  const events = fc.array(fc.tuple(number, text, text, text, text, number, object), { maxLength: 4 });
  fc.assert(
    fc.property(
      fc.record({
        ...reflects,
        step: number,
        version: number,
        fields: fc.option(fc.dictionary(fc.constantFrom("a", "b"), fc.oneof(number, text, fc.array(text)))),
        reminders: fc.array(fc.tuple(text, number, number, command), { maxLength: 2 }),
        work: fc.array(fc.tuple(text, text, object, text), { maxLength: 2 }),
        snapshot: fc.uint8Array({ maxLength: 20 }),
        chunks: number,
      }),
      fc.record({ ...reflects, last: number, pages: number, tail: events }),
      fc.record({
        ...reflects,
        time: number,
        out: fc.array(fc.tuple(number, number, number), { maxLength: 2 }),
        cursors: pairs,
        askers: fc.array(asker, { maxLength: 2 }),
      }),
      (actor, history, partition) => {
        const bytes = encodeActor(codec, actor);
        const back = decodeActor(codec, bytes);
        expect(plain({ ...back, snapshot: [...back.snapshot] })).toEqual(
          plain({ ...actor, snapshot: [...actor.snapshot] }),
        );
        expect(plain(decodeHistory(codec, encodeHistory(codec, history)))).toEqual(plain(history));
        expect(plain(decodePage(codec, encodePage(codec, history.tail)))).toEqual(plain(history.tail));
        expect(plain(decodePartition(codec, encodePartition(codec, partition)))).toEqual(plain(partition));
        for (const decode of [decodeHistory, decodePage, decodePartition]) expect(() => decode(codec, bytes)).toThrow();
      },
    ),
    { numRuns: 200 },
  );
});

test("patterns match as NATS does, by a naive matcher", () => {
  const token = fc.constantFrom("a", "b", "c");
  const pattern = fc.tuple(fc.array(fc.oneof(token, fc.constant("*")), { maxLength: 5 }), fc.boolean());
  const naive = (tokens: readonly string[], subject: string) => {
    const parts = tokens.map((t) => (t === "*" ? "[^.]+" : t === ">" ? ".+" : t));
    return new RegExp(`^${parts.join("\\.")}$`).test(subject);
  };
  fc.assert(
    fc.property(pattern, fc.array(token, { minLength: 1, maxLength: 6 }), ([start, rest], subject) => {
      const tokens = rest || start.length === 0 ? [...start, ">"] : start;
      expect(matches(parsePattern(tokens.join(".")), subject)).toBe(naive(tokens, subject.join(".")));
      expect(matches(tokens, subject)).toBe(subjectMatches(tokens, subject));
    }),
    { numRuns: 1000 },
  );
  for (const bad of ["", ".", "a.", ".a", "a..b", "a.>.b", ">.a", "a*", "a b", "a.>>", "x".repeat(600)])
    expect(() => parsePattern(bad)).toThrow(expect.objectContaining({ code: "invalid_input" }));
});

test("a cursor comes back as it was; anything else is invalid_input", () => {
  const positions = fc.record({
    streams: fc.array(fc.nat(2 ** 31), { minLength: 1, maxLength: 8 }),
    stream: fc.nat(7),
    skip: fc.nat(10_000),
  });
  fc.assert(
    fc.property(positions, ({ stream, ...rest }) => {
      const p = { ...rest, stream: stream % rest.streams.length };
      expect(decodeCursor(encodeCursor(p), p.streams.length)).toEqual(p);
      const other = p.streams.length + 1;
      expect(() => decodeCursor(encodeCursor(p), other)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    }),
  );
  const garbage = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.string().map((s) => Buffer.from(s).toString("base64url")),
    fc.string().map((s) => Buffer.from(`f1_${s}_0_0`).toString("base64url")),
  );
  fc.assert(
    fc.property(garbage, (s) => {
      try {
        const p = decodeCursor(s, 2);
        expect(p.streams.every((n) => Number.isSafeInteger(n) && n >= 0)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "invalid_input" });
      }
    }),
    { numRuns: 500 },
  );
});

test("placement: a member that leaves moves only its own partitions, in any order of the list", () => {
  const boots = fc.uniqueArray(fc.stringMatching(/^[0-9a-z]{26}$/), { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(boots, fc.nat(), (list, leaves) => {
      const gone = list[leaves % list.length] as string;
      const rest = list.filter((b) => b !== gone);
      for (let p = 0; p < 64; p++) {
        const before = ownerOf(p, list);
        expect(ownerOf(p, [...list].reverse())).toBe(before);
        if (before !== gone) expect(ownerOf(p, rest)).toBe(before);
        else expect(rest).toContain(ownerOf(p, rest));
      }
    }),
    { numRuns: 100 },
  );
  expect(ownerOf(0, [])).toBeUndefined();
});

test.each(["run-%", "%", "user/%@example.org", "é%"])("roots like %s spread evenly over partitions", (shape) => {
  for (const partitions of [8, 16, 64]) {
    const counts = new Array<number>(partitions).fill(0);
    const roots = 20_000;
    for (let i = 0; i < roots; i++) {
      const p = partitionOf(shape.replace("%", String(i)), partitions);
      counts[p] = (counts[p] as number) + 1;
    }
    const mean = roots / partitions;
    expect(Math.max(...counts)).toBeLessThan(mean + 6 * Math.sqrt(mean));
    expect(Math.min(...counts)).toBeGreaterThan(mean - 6 * Math.sqrt(mean));
  }
});
