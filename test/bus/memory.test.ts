/** The memory driver: the contract on real time, and its own faults and clock on simulated time. */
import { describe, expect, it } from "vitest";
import { createMemoryBus, type MemoryBusOptions } from "../../src/bus/memory/bus.ts";
import { MemoryClock } from "../../src/bus/memory/clock.ts";
import type { Fault } from "../../src/bus/memory/faults.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { busContract } from "./contract.ts";
import { text } from "./contract-support.ts";

const layout = { partitions: 4, streams: 2, replicas: 1 } as const;

busContract("memory", {
  async open() {
    const bus = createMemoryBus({ clock: systemClock, layout, node: "a" });
    const other = createMemoryBus({ clock: systemClock, store: bus.store, node: "b" });
    return { bus, other, close: async () => void (await Promise.all([bus.close(), other.close()])) };
  },
});

function simulated(options: Partial<MemoryBusOptions> = {}) {
  const clock = new MemoryClock();
  const a = createMemoryBus({ clock, layout, node: "a", latencyMs: 1, ...options });
  const b = createMemoryBus({ clock, store: a.store, node: "b", latencyMs: 1 });
  return { clock, a, b };
}

/** The given fault for the first call of an operation. */
function once(operation: string, fault: Fault) {
  let left = 1;
  return { next: (call: { operation: string }) => (call.operation === operation && left-- > 0 ? fault : undefined) };
}

describe("memory clock", () => {
  it("fires timers in order of time, then of arming, and settles promises in between", async () => {
    const clock = new MemoryClock(0);
    const seen: string[] = [];
    clock.after(20, () => seen.push("late"));
    clock.after(10, () => {
      void Promise.resolve().then(() => seen.push("settled"));
    });
    clock.after(10, () => seen.push("second"));
    clock.after(5, () => seen.push("cancelled")).cancel();
    clock.after(15, () => clock.after(1, () => seen.push(`nested at ${clock.now()}`)));
    await clock.advance(19);
    expect(seen).toEqual(["settled", "second", "nested at 16"]);
    expect(clock.now()).toBe(19);
    await clock.advance(1);
    expect(seen.at(-1)).toBe("late");
  });

  it("waits for a promise, and says so when nothing can settle it", async () => {
    const clock = new MemoryClock();
    expect(await clock.wait(clock.sleep(60_000).then(() => 7))).toBe(7);
    await expect(clock.wait(new Promise(() => {}))).rejects.toThrow("Not reached");
  });
});

describe("memory faults", () => {
  it("an answer lost: unknown, but stored; the same again is refused with its own sequence", async () => {
    const { clock, a } = simulated({ faults: once("append", { kind: "answer_lost" }) });
    const outcome = await clock.wait(a.journal.append(0, text("x"), 0));
    expect(outcome.kind).toBe("unknown");
    expect(await clock.wait(a.journal.append(0, text("x"), 0))).toEqual({ kind: "refused", lastSeq: 1 });
  });

  it("dropped: unknown and not stored", async () => {
    const { clock, a } = simulated({ faults: once("append", { kind: "drop" }) });
    expect((await clock.wait(a.journal.append(0, text("x"), 0))).kind).toBe("unknown");
    expect(await clock.wait(a.journal.append(0, text("x"), 0))).toEqual({ kind: "stored", seq: 1 });
  });

  it("stored late: only if what it expects still holds", async () => {
    for (const overtaken of [false, true]) {
      const { clock, a, b } = simulated({ faults: once("append", { kind: "stored_late", ms: 10_000 }) });
      expect((await clock.wait(a.journal.append(0, text("late"), 0))).kind).toBe("unknown");
      if (overtaken) await clock.wait(b.journal.append(0, text("other"), 0));
      await clock.advance(20_000);
      const last = await clock.wait(a.journal.last(0));
      expect(new TextDecoder().decode(last?.bytes)).toBe(overtaken ? "other" : "late");
      expect(last?.seq).toBe(1);
    }
  });

  it("full and no responders store nothing", async () => {
    for (const kind of ["full", "no_responders"] as const) {
      const { clock, a } = simulated({ faults: once("append", { kind }) });
      expect((await clock.wait(a.journal.append(0, text("x"), 0))).kind).toBe(kind === "full" ? "full" : "unknown");
      expect(await clock.wait(a.journal.last(0))).toBeNull();
    }
  });

  it("duplicates and delays of messages", async () => {
    const { clock, a, b } = simulated({ faults: once("publish", { kind: "duplicate" }) });
    let seen = 0;
    b.wire.subscribe("x", () => seen++);
    a.wire.publish("x", text(""));
    a.wire.publish("x", text(""));
    await clock.advance(10);
    expect(seen).toBe(3);
  });
});

describe("memory links", () => {
  it("a cut node is told; requests to it find no responders; its follower goes on where it was", async () => {
    const { clock, a, b } = simulated();
    const seen: number[] = [];
    const changes: boolean[] = [];
    b.wire.onConnection((connected) => changes.push(connected));
    b.wire.subscribe("ask.1", (m) => m.respond(text("")));
    await clock.wait(b.journal.follow(0, 1, (m) => seen.push(m.seq)));
    await clock.wait(a.journal.append(0, text("1"), 0));
    await clock.advance(10);
    const waiting = b.wire.request("nowhere.yet", text(""), 60_000);
    b.setLink("cut");
    expect(await clock.wait(waiting)).toEqual({ kind: "timed_out" });
    await clock.wait(a.journal.append(0, text("2"), 1));
    expect(await clock.wait(a.wire.request("ask.1", text(""), 1_000))).toEqual({ kind: "no_responders" });
    expect((await clock.wait(b.journal.append(0, text("3"), 2))).kind).toBe("unknown");
    expect([seen, changes]).toEqual([[1], [false]]);
    b.setLink("up");
    await clock.advance(10);
    expect([seen, changes]).toEqual([
      [1, 2],
      [false, true],
    ]);
  });

  it("a silent node keeps its subscriptions but hears nothing; a dead one is gone for good", async () => {
    const { clock, a, b } = simulated();
    b.wire.subscribe("ask.1", (m) => m.respond(text("")));
    b.setLink("silent");
    expect(b.wire.connected).toBe(true);
    expect(await clock.wait(a.wire.request("ask.1", text(""), 500))).toEqual({ kind: "timed_out" });
    expect((await clock.wait(b.journal.append(0, text("x"), 0))).kind).toBe("unknown");
    expect(await clock.wait(a.journal.last(0))).toBeNull();
    b.setLink("dead");
    expect(await clock.wait(a.wire.request("ask.1", text(""), 500))).toEqual({ kind: "no_responders" });
    await expect(clock.wait(b.journal.append(0, text("x"), 0), 60_000)).rejects.toThrow("Not reached");
  });

  it("the same seed gives the same ids, another node others", () => {
    const make = (node: string) => createMemoryBus({ clock: new MemoryClock(), node, seed: 42 }).random;
    expect(make("a").id()).toBe(make("a").id());
    expect(make("a").id()).not.toBe(make("b").id());
  });
});
