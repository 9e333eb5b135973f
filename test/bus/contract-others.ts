/** The bus contract, second half: registry, blobs, wire, ids. See contract.ts. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import type { RegistryWrite } from "../../src/bus/registry.ts";
import { until } from "../support/until.ts";
import { all, read, text } from "./contract-support.ts";

function revisionOf(outcome: RegistryWrite): number {
  if (outcome.kind !== "stored") throw new Error(`Not stored: ${JSON.stringify(outcome)}`);
  return outcome.revision;
}

export function registryContract(get: () => Bus): void {
  describe("registry", () => {
    it("creates once, writes over exactly a revision", async () => {
      const { registry } = get();
      const first = revisionOf(await registry.create("lease.1", text("a")));
      expect(await registry.create("lease.1", text("b"))).toEqual({ kind: "refused" });
      const second = revisionOf(await registry.update("lease.1", text("b"), first));
      expect(await registry.update("lease.1", text("c"), first)).toEqual({ kind: "refused" });
      const entry = await registry.get("lease.1");
      expect([entry?.key, read(entry?.value ?? text("")), entry?.revision]).toEqual(["lease.1", "b", second]);
    });

    it("a deleted key is gone, may be created again, and its old revisions are refused", async () => {
      const { registry } = get();
      const first = revisionOf(await registry.create("lease.2", text("a")));
      expect(await registry.remove("lease.2", first + 100)).toEqual({ kind: "refused" });
      const removed = revisionOf(await registry.remove("lease.2", first));
      expect(removed).toBeGreaterThan(first);
      expect(await registry.get("lease.2")).toBeNull();
      expect(await registry.update("lease.2", text("b"), first)).toEqual({ kind: "refused" });
      expect(await registry.remove("lease.2", first)).toEqual({ kind: "refused" });
      const again = revisionOf(await registry.create("lease.2", text("c")));
      expect(again).toBeGreaterThan(removed);
      expect(await registry.create("lease.2", text("d"))).toEqual({ kind: "refused" });
      expect(read((await registry.get("lease.2"))?.value ?? text(""))).toBe("c");
    });

    it("lists by whole tokens", async () => {
      const { registry } = get();
      expect(await registry.list("member")).toEqual([]);
      for (const key of ["member.b", "member.a", "members.c", "member.a.x"]) await registry.create(key, text(key));
      const { revision } = (await registry.get("member.b")) ?? { revision: 0 };
      expect((await registry.list("member")).map((e) => e.key)).toEqual(["member.a", "member.a.x", "member.b"]);
      await registry.remove("member.b", revision);
      const left = await registry.list("member");
      expect(left.map((e) => [e.key, read(e.value)])).toEqual([
        ["member.a", "member.a"],
        ["member.a.x", "member.a.x"],
      ]);
      expect(left[0]?.revision).toBe((await registry.get("member.a"))?.revision);
    });

    it("lets one of two creators win", async () => {
      const { registry } = get();
      const outcomes = await Promise.all(["a", "b", "c"].map((v) => registry.create("race", text(v))));
      expect(outcomes.filter((o) => o.kind === "stored")).toHaveLength(1);
      expect(outcomes.filter((o) => o.kind === "refused")).toHaveLength(2);
    });
  });
}

export function blobsContract(get: () => Bus): void {
  describe("blobs", () => {
    it.each([0, 1, 524_288, 20 * 1024 * 1024])("keeps %i bytes", async (size) => {
      const { blobs } = get();
      const bytes = randomBytes(size);
      const name = `root/${size}`;
      expect(await blobs.put(name, bytes)).toEqual({ name, size });
      expect(Buffer.compare((await blobs.get(name)) ?? text("?"), bytes)).toBe(0);
      const pieces = await all((await blobs.stream(name)) ?? (async function* () {})());
      expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0);
    });

    it("takes the same again, lists by root, removes", async () => {
      const { blobs } = get();
      const name = "r 1/ä.b";
      await blobs.put(name, text("same"));
      await blobs.put(name, text("same"));
      await blobs.put("r 1/2", text("other"));
      await blobs.put("r 12/2", text("another root"));
      expect(await blobs.list("r 1")).toEqual([
        { name: "r 1/2", size: 5 },
        { name, size: 4 },
      ]);
      await blobs.remove(name);
      await blobs.remove(name);
      expect([await blobs.get(name), await blobs.stream(name)]).toEqual([null, null]);
      expect((await blobs.list("r 1")).map((b) => b.name)).toEqual(["r 1/2"]);
      await blobs.put(name, text("new"));
      expect(read((await blobs.get(name)) ?? text(""))).toBe("new");
      await blobs.put("run/7/a", text("root with a slash"));
      expect(await blobs.list("run/7")).toEqual([{ name: "run/7/a", size: 17 }]);
    });

    it("a blob written twice at once is whole for all readers", async () => {
      const { blobs } = get();
      const bytes = randomBytes(2_000_000);
      await Promise.all([blobs.put("twice/1", bytes), blobs.put("twice/1", bytes)]);
      expect(Buffer.compare((await blobs.get("twice/1")) ?? text(""), bytes)).toBe(0);
    });
  });
}

export function wireContract(get: () => { bus: Bus; other: Bus }): void {
  describe("wire", () => {
    it("answers a request; many at once keep their answers apart", async () => {
      const { bus, other } = get();
      expect(bus.wire.connected).toBe(true);
      const sub = other.wire.subscribe("ask.*", (m) => {
        expect(m.wantsReply).toBe(true);
        m.respond(text(`${m.subject}:${read(m.bytes)}`));
      });
      await other.wire.flush();
      const replies = await Promise.all(
        Array.from({ length: 200 }, (_, i) => bus.wire.request(`ask.${i % 3}`, text(String(i)), 2_000)),
      );
      expect(replies.map((r) => (r.kind === "reply" ? read(r.bytes) : r.kind))).toEqual(
        Array.from({ length: 200 }, (_, i) => `ask.${i % 3}:${i}`),
      );
      sub.unsubscribe();
      await other.wire.flush();
      expect(await bus.wire.request("ask.1", text("x"), 2_000)).toEqual({ kind: "no_responders" });
    });

    it("carries an empty answer", async () => {
      const { bus, other } = get();
      const sub = other.wire.subscribe("empty", (m) => m.respond(new Uint8Array(0)));
      await other.wire.flush();
      const reply = await bus.wire.request("empty", new Uint8Array(0), 2_000);
      expect(reply.kind === "reply" && reply.bytes.length).toBe(0);
      sub.unsubscribe();
    });

    it("no one there: at once; someone silent: at the time-out; a later answer is dropped", async () => {
      const { bus, other } = get();
      const from = performance.now();
      expect(await bus.wire.request("nobody", text(""), 5_000)).toEqual({ kind: "no_responders" });
      expect(performance.now() - from).toBeLessThan(2_000);
      const waiting: (() => void)[] = [];
      const sub = other.wire.subscribe("silent", (m) => waiting.push(() => m.respond(text("late"))));
      await other.wire.flush();
      expect(await bus.wire.request("silent", text(""), 50)).toEqual({ kind: "timed_out" });
      for (const respond of waiting) respond();
      expect(waiting).toHaveLength(1);
      sub.unsubscribe();
    });

    it("gives each message of a queue group to one, and to all others", async () => {
      const { bus, other } = get();
      const seen: string[] = [];
      const subs = [
        other.wire.subscribe("q.>", () => seen.push("group"), "g"),
        bus.wire.subscribe("q.>", () => seen.push("group"), "g"),
        other.wire.subscribe("q.a.b", () => seen.push("plain")),
      ];
      await Promise.all([other.wire.flush(), bus.wire.flush()]);
      for (let i = 0; i < 20; i++) bus.wire.publish("q.a.b", text("x"));
      await until(() => seen.length >= 40);
      await Promise.all([bus.wire.flush(), other.wire.flush()]);
      expect(seen.filter((s) => s === "group")).toHaveLength(20);
      expect(seen.filter((s) => s === "plain")).toHaveLength(20);
      for (const sub of subs) sub.unsubscribe();
    });

    it("delivers one publisher's messages in order, with no reply wanted", async () => {
      const { bus, other } = get();
      const seen: number[] = [];
      const sub = other.wire.subscribe("order", (m) => {
        expect(m.wantsReply).toBe(false);
        m.respond(text("nobody hears this"));
        seen.push(Number(read(m.bytes)));
      });
      await other.wire.flush();
      for (let i = 0; i < 1_000; i++) bus.wire.publish("order", text(String(i)));
      await until(() => seen.length >= 1_000);
      expect(seen).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
      sub.unsubscribe();
    });
  });
}

export function timeContract(get: () => Bus): void {
  it("ids are unique, 26 characters, and sort by time", async () => {
    const { random, clock } = get();
    const ids = Array.from({ length: 1_000 }, () => random.id());
    expect(new Set(ids).size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(/^[0-9a-z]{26}$/);
    await clock.sleep(5);
    expect(random.id() > (ids[0] ?? "")).toBe(true);
    const floats = Array.from({ length: 1_000 }, () => random.float());
    expect(Math.min(...floats)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...floats)).toBeLessThan(1);
    expect(Math.max(...floats) - Math.min(...floats)).toBeGreaterThan(0.5);
  });
}
