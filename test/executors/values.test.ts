import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BlobRef } from "../../src/actors/client.ts";
import { refInto } from "../../src/actors/refs.ts";
import { assertNoRefs, BlobValues } from "../../src/actors/values.ts";
import type { Json } from "../../src/machines/effects.ts";
import { MemoryBlobs } from "./fakes.ts";

function setup(cacheBytesMax?: number) {
  const blobs = new MemoryBlobs();
  return { blobs, values: new BlobValues(blobs, cacheBytesMax === undefined ? {} : { cacheBytesMax }) };
}

const refOf = (value: Json) => value as unknown as BlobRef;

describe("large values", () => {
  it("leaves small values alone and stores nothing", async () => {
    const { blobs, values } = setup();
    const small = { a: [1, "x", null, { b: true }] };
    expect(await values.offload("r", small)).toEqual(small);
    expect(blobs.stored.size).toBe(0);
  });

  it("takes out the large string only", async () => {
    const { blobs, values } = setup();
    const text = "x".repeat(100_000);
    const kept = (await values.offload("r", { title: "T", text })) as { title: string; text: Json };
    expect(kept.title).toBe("T");
    expect(refOf(kept.text).$blob.name).toMatch(/^r\/[0-9a-f]{32}$/);
    expect(blobs.stored.size).toBe(1);
    expect(await values.load(kept)).toEqual({ title: "T", text });
  });

  it("puts many small parts away as one blob", async () => {
    const { blobs, values } = setup();
    const list = Array.from({ length: 500 }, (_, i) => ({ i, text: "y".repeat(1_000) }));
    const kept = await values.offload("r", list);
    expect(refOf(kept).$blob.bytes).toBeGreaterThan(500_000);
    expect(blobs.stored.size).toBe(1);
    expect(await values.load(kept)).toEqual(list);
  });

  it("nests: a list of many large parts is a blob of references", async () => {
    const { blobs, values } = setup();
    const list = Array.from({ length: 40 }, (_, i) => `${i}`.repeat(2_000));
    const kept = await values.offload("r", list, 1_000);
    expect(refOf(kept).$blob).toBeDefined();
    expect(blobs.stored.size).toBe(41);
    expect(await values.load(kept)).toEqual(list);
    expect(await values.load(refInto(refOf(kept), 7) as unknown as Json)).toBe(list[7]);
  });

  it("counts bytes, not characters", async () => {
    const { values } = setup();
    const kept = await values.offload("r", "本".repeat(30_000));
    expect(refOf(kept).$blob.bytes).toBe(90_003 + 2);
  });

  it("is idempotent: the same value is the same blob", async () => {
    const { blobs, values } = setup();
    const a = await values.offload("r", "z".repeat(70_000));
    expect(await values.offload("r", "z".repeat(70_000))).toEqual(a);
    expect(blobs.stored.size).toBe(1);
  });

  it("follows JSON pointers, with one fetch for all parts", async () => {
    const { blobs, values } = setup();
    const whole = refOf(
      await values.offload(
        "r",
        Array.from({ length: 9_000 }, (_, i) => `item ${i}`),
      ),
    );
    const parts = await values.load([1, 2, 3].map((i) => refInto(whole, i) as unknown as Json));
    expect(parts).toEqual(["item 1", "item 2", "item 3"]);
    expect(blobs.gets).toBe(1);
    const odd = refOf(await values.offload("r", { "a/b": { "~": [3] }, rest: whole.$blob.name.repeat(2_000) }, 60));
    expect(await values.load(refInto(refInto(refInto(odd, "a/b"), "~"), 0) as unknown as Json)).toBe(3);
  });

  it("gives copies: changing a loaded value changes neither cache nor input", async () => {
    const { values } = setup();
    const ref = await values.offload("r", { list: Array.from({ length: 9_000 }, () => "text text") });
    const one = (await values.load(ref)) as { list: string[] };
    one.list[0] = "changed";
    expect(((await values.load(ref)) as { list: string[] }).list[0]).toBe("text text");
    const plain = { a: [1] };
    const copy = (await values.load(plain)) as { a: number[] };
    copy.a[0] = 2;
    expect(plain.a[0]).toBe(1);
  });

  it("refuses `$blob` from outside, at any depth, and keeps Troupe's own when told", async () => {
    const { blobs, values } = setup();
    const ref = await values.offload("other", "s".repeat(70_000));
    for (const evil of [ref, { a: [ref] }, { $blob: 1 }, { $blob: null }] as Json[]) {
      await expect(values.offload("r", evil)).rejects.toMatchObject({ code: "invalid_input" });
      expect(() => assertNoRefs(evil)).toThrow(/\$blob/);
    }
    const kept = (await values.offload("r", { a: ref }, 65_536, "keep")) as { a: Json };
    expect(refOf(kept.a).$blob.name).toMatch(/^r\//);
    blobs.stored.delete(refOf(ref).$blob.name);
    expect(await values.load(kept)).toEqual({ a: "s".repeat(70_000) });
  });

  it("refuses what is not JSON", async () => {
    const { values } = setup();
    const bad: unknown[] = [Number.NaN, 1n, new Date(0), new Map(), () => 1, JSON.parse('{"__proto__":1}')];
    for (const value of bad) {
      await expect(values.offload("r", { value } as Json)).rejects.toMatchObject({ code: "invalid_input" });
    }
    let deep: Json = 1;
    for (let i = 0; i < 300; i++) deep = [deep];
    await expect(values.offload("r", deep)).rejects.toMatchObject({ code: "invalid_input" });
    expect(() => assertNoRefs(deep)).toThrow(/deep/);
  });

  it("names a missing blob, and shouts at a changed one", async () => {
    const { blobs, values } = setup();
    const ref = refOf(await values.offload("r", "s".repeat(70_000)));
    const bytes = blobs.stored.get(ref.$blob.name) as Uint8Array;
    const changed = bytes.slice();
    changed[500] = 1;
    blobs.stored.set(ref.$blob.name, changed);
    await expect(values.load(ref as unknown as Json)).rejects.toMatchObject({ code: "internal", message: /sha256/ });
    blobs.stored.clear();
    await expect(values.load(ref as unknown as Json)).rejects.toMatchObject({ message: new RegExp(ref.$blob.name) });
    blobs.stored.set(ref.$blob.name, bytes);
    expect(await values.load(ref as unknown as Json)).toBe("s".repeat(70_000));
    const nowhere = { $blob: { ...ref.$blob, at: "/x" } };
    await expect(values.load(nowhere)).rejects.toMatchObject({ code: "internal", message: /nothing at \/x/ });
  });

  it("keeps the cache within its bytes", async () => {
    const { blobs, values } = setup(150_000);
    const refs = [];
    for (const c of "abc") refs.push(await values.offload("r", c.repeat(70_000)));
    for (const ref of [...refs, refs[0] as Json]) await values.load(ref);
    expect(blobs.gets).toBe(4);
    await values.load(refs[0] as Json);
    expect(blobs.gets).toBe(4);
  });

  it("keeps files as they are", async () => {
    const { blobs, values } = setup();
    const bytes = new Uint8Array([0, 1, 255]);
    const ref = await values.putBytes("r", bytes);
    expect(ref.$blob.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
    expect(blobs.stored.get(ref.$blob.name)).toEqual(bytes);
    expect(await values.getBytes(ref)).toEqual(bytes);
    expect(await values.getBytes({ $blob: { ...ref.$blob, name: "r/none" } })).toBeNull();
  });

  it("any JSON comes back as it was, whatever the threshold", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue({ maxDepth: 6 }),
        fc.integer({ min: 200, max: 2_000 }),
        async (value, threshold) => {
          const json = JSON.parse(JSON.stringify(value).replaceAll("__proto__", "proto")) as Json;
          const { values } = setup();
          expect(await values.load(await values.offload("r", [json, json], threshold))).toEqual([json, json]);
        },
      ),
      { numRuns: 300 },
    );
  });
});
