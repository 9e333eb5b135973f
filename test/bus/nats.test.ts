/** The NATS driver on a real server: the contract, and what only a server can do: die and come back. */
import { execFileSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { JournalMessage } from "../../src/bus/journal.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { parseAck } from "../../src/bus/nats/store.ts";
import { requireServerVersion } from "../../src/bus/nats/version.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { until } from "../support/until.ts";
import { busContract } from "./contract.ts";
import { read, seqOf, text } from "./contract-support.ts";

const layout = { partitions: 4, streams: 2, replicas: 1 } as const;

busContract("nats", {
  async open() {
    const server = await startNatsServer();
    const bus = await connectNats({ servers: server.url, layout });
    const other = await connectNats({ servers: server.url });
    return {
      bus,
      other,
      async close() {
        await bus.close();
        await other.close();
        await server.stop();
      },
    };
  },
});

describe("nats: starting", () => {
  const opened: { close?(): Promise<void>; stop?(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const o of opened.splice(0).reverse()) await (o.close?.() ?? o.stop?.());
  });
  const serve = async (options?: Parameters<typeof startNatsServer>[0]) => {
    const server = await startNatsServer(options);
    opened.push(server);
    return server;
  };
  const open = async (server: TestNatsServer, options: Partial<Parameters<typeof connectNats>[0]> = {}) => {
    const bus = await connectNats({ servers: server.url, ...options });
    opened.push(bus);
    return bus;
  };

  it("keeps the first layout; a different wish is refused with both", async () => {
    const server = await serve();
    const first = await open(server, { layout: { partitions: 3, streams: 2 } });
    expect(first.layout).toEqual({ partitions: 3, streams: 2, replicas: 1 });
    expect((await open(server)).layout).toEqual(first.layout);
    expect((await open(server, { layout: { partitions: 3 } })).layout).toEqual(first.layout);
    const wrong = connectNats({ servers: server.url, layout: { partitions: 5 } });
    await expect(wrong).rejects.toMatchObject({ code: "layout_mismatch", message: /3 partitions.*partitions 5/ });
  });

  it("several nodes may set up at once", async () => {
    const server = await serve();
    const buses = await Promise.all(Array.from({ length: 4 }, () => open(server, { layout })));
    for (const bus of buses) expect(bus.layout).toEqual(layout);
    expect((await buses[0]?.journal.append(0, text("x"), 0))?.kind).toBe("stored");
  });

  it("makes streams that never drop: discard new, no age, file, one message per record", async () => {
    const server = await serve();
    await open(server, { layout });
    const { connect } = await import("@nats-io/transport-node");
    const { jetstreamManager } = await import("@nats-io/jetstream");
    const nc = await connect({ servers: server.url });
    const jsm = await jetstreamManager(nc);
    const journal = (await jsm.streams.info("TROUPE_JOURNAL_1")).config;
    const state = (await jsm.streams.info("TROUPE_STATE_1")).config;
    await jsm.streams.update("TROUPE_JOURNAL_1", { max_age: 1_000_000_000 });
    await nc.close();
    for (const config of [journal, state]) {
      expect(config).toMatchObject({ discard: "new", max_age: 0, max_bytes: -1, storage: "file", allow_direct: true });
    }
    expect([journal.subjects, journal.max_msgs_per_subject]).toEqual([["journal.1.*"], -1]);
    expect([state.subjects, state.max_msgs_per_subject]).toEqual([["state.1.>"], 1]);
    // One that forgets is refused at the next start.
    await expect(connectNats({ servers: server.url })).rejects.toThrow(/TROUPE_JOURNAL_1 has max_age/);
  });

  it("says what is wrong: nobody there, wrong password, no JetStream", async () => {
    const nobody = connectNats({ servers: "nats://user:secret@127.0.0.1:1", startTimeoutMs: 300 });
    await expect(nobody).rejects.toMatchObject({ code: "unreachable", message: expect.not.stringContaining("secret") });
    const locked = await serve({ extra: "authorization { user: u, password: p }" });
    await expect(connectNats({ servers: locked.url, user: "u", pass: "x" })).rejects.toThrow(/Authorization/i);
    await open(locked, { user: "u", pass: "p" });
    await open(locked, { servers: locked.url.replace("//", "//u:p@") });
    const plain = await serve({ jetstream: false });
    await expect(connectNats({ servers: plain.url })).rejects.toThrow(/JetStream is not enabled/);
  });

  it("refuses servers that are too old", () => {
    expect(() => requireServerVersion("2.9.25", 1)).toThrow(/2\.9\.25.*2\.10/);
    expect(() => requireServerVersion("2.10.0", 1)).not.toThrow();
    expect(() => requireServerVersion("2.10.29", 3)).toThrow(/2\.11/);
    expect(() => requireServerVersion("2.11.0-RC.1", 3)).not.toThrow();
    expect(() => requireServerVersion("3.0.0", 3)).not.toThrow();
    expect(() => requireServerVersion("", 1)).toThrow(/unknown/);
  });

  it("a full stream refuses and keeps what it has", async () => {
    const server = await serve({ extra: "" });
    const bus = await open(server, { layout });
    const { connect } = await import("@nats-io/transport-node");
    const { jetstreamManager } = await import("@nats-io/jetstream");
    const nc = await connect({ servers: server.url });
    await (await jetstreamManager(nc)).streams.update("TROUPE_JOURNAL_0", { max_bytes: 10_000 });
    await nc.close();
    const first = seqOf(await bus.journal.append(0, new Uint8Array(6_000), 0));
    const outcome = await bus.journal.append(0, new Uint8Array(6_000), first);
    expect(outcome).toMatchObject({ kind: "full", reason: /maximum bytes/ });
    expect((await bus.journal.last(0))?.seq).toBe(first);
    expect((await bus.journal.append(0, text("small"), first)).kind).toBe("stored");
  });
});

describe("nats: answers to a publish", () => {
  const error = (err_code: number, description: string, code = 400) =>
    parseAck(JSON.stringify({ error: { code, err_code, description }, stream: "S", seq: 0 }));

  it("are told apart by their code", () => {
    expect(parseAck('{"stream":"S","seq":7}')).toEqual({ kind: "stored", seq: 7 });
    expect(error(10071, "wrong last sequence: 42")).toEqual({ kind: "refused", lastSeq: 42 });
    expect(error(10164, "wrong last sequence")).toMatchObject({ kind: "unknown", retryAfterMs: 2 });
    expect(error(10163, "expected last sequence per subject temporarily unavailable", 503).kind).toBe("unknown");
    expect(error(10008, "JetStream system temporarily unavailable", 503).kind).toBe("unknown");
    expect(error(10077, "maximum bytes exceeded", 503).kind).toBe("full");
    expect(error(10077, "store is closed", 503).kind).toBe("unknown");
    expect(error(10047, "insufficient storage resources available", 500).kind).toBe("full");
    expect(error(10023, "insufficient resources", 503).kind).toBe("full");
    expect(parseAck("not json").kind).toBe("unknown");
    expect(parseAck("{}").kind).toBe("unknown");
  });
});

describe("nats: a server that dies and comes back", () => {
  let server: TestNatsServer;
  let bus: NatsBus;
  let other: NatsBus;
  beforeAll(async () => {
    server = await startNatsServer();
    bus = await connectNats({ servers: server.url, layout, writeTimeoutMs: 1_000 });
    other = await connectNats({ servers: server.url });
  });
  afterAll(async () => {
    await bus.close();
    await other.close();
    await server.stop();
  });

  /** Appends as the runtime does: the very same again until stored, or refused with its own bytes there. */
  async function persist(partition: number, body: string, expected: number): Promise<{ seq: number; unknown: number }> {
    let unknown = 0;
    for (;;) {
      const outcome = await bus.journal.append(partition, text(body), expected);
      if (outcome.kind === "stored") return { seq: outcome.seq, unknown };
      if (outcome.kind === "refused") {
        const found = await bus.journal.get(partition, outcome.lastSeq);
        expect(read(found?.bytes)).toBe(body);
        return { seq: outcome.lastSeq, unknown };
      }
      if (outcome.kind === "full") throw new Error(outcome.reason);
      unknown++;
      await bus.clock.sleep(outcome.retryAfterMs);
    }
  }

  it("appends end as unknown, then are stored once; a follower has every message once, in order", async () => {
    const seen: JournalMessage[] = [];
    const follower = await other.journal.follow(0, 1, (m) => seen.push(m));
    const written: { seq: number; body: string }[] = [];
    let unknown = 0;
    let writing = true;
    const writer = (async () => {
      let last = 0;
      for (let i = 0; writing; i++) {
        const body = `group ${i}`;
        const stored = await persist(0, body, last);
        last = stored.seq;
        unknown += stored.unknown;
        written.push({ seq: last, body });
      }
    })();
    const changes: boolean[] = [];
    bus.wire.onConnection((connected) => changes.push(connected));
    for (let kill = 0; kill < 3; kill++) {
      const before = written.length;
      await until(() => written.length >= before + 200, 20_000, "200 groups");
      await server.kill9();
      await until(() => !bus.wire.connected);
      expect((await bus.journal.append(2, text("away"), 0)).kind).toBe("unknown");
      expect((await bus.wire.request("x", text(""), 5_000)).kind).toBe("timed_out");
      await server.restart();
      await until(() => bus.wire.connected);
    }
    const before = written.length;
    await until(() => written.length >= before + 200, 20_000, "200 groups");
    writing = false;
    await writer;
    expect(unknown).toBeGreaterThan(0);
    expect(changes).toEqual([false, true, false, true, false, true]);
    await until(() => seen.length >= written.length, 20_000, "the follower");
    expect(seen.map((m) => ({ seq: m.seq, body: read(m.bytes) }))).toEqual(written);
    const stored: string[] = [];
    for await (const m of bus.journal.read(0, 1, Number.MAX_SAFE_INTEGER)) stored.push(read(m.bytes));
    expect(stored).toEqual(written.map((w) => w.body));
    await follower.stop();
  });

  it("a read and a scan that are cut off in the middle go on where they were", async () => {
    let last = 0;
    const body = new Uint8Array(200_000);
    for (let i = 0; i < 200; i++) last = (await persist2(1, body, last)).seq;
    const seqs: number[] = [];
    for await (const m of bus.journal.read(1, 1, last)) {
      seqs.push(m.seq);
      if (seqs.length === 20) {
        await server.kill9();
        await server.restart();
      }
    }
    expect(seqs).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });

  it("a frozen server: unknown at the time-out; what it then stores late is found, not doubled", async () => {
    const before = (await bus.journal.last(2))?.seq ?? 0;
    const seen: string[] = [];
    const from = (await bus.journal.bounds(0)).lastSeq + 1;
    const follower = await other.journal.follow(0, from, (m) => seen.push(read(m.bytes)));
    process.kill(server.pid, "SIGSTOP");
    try {
      // The signal takes effect a little later than it is sent.
      await until(() => execFileSync("ps", ["-o", "stat=", "-p", String(server.pid)]).includes("T"), 5_000, "the stop");
      const outcome = await bus.journal.append(2, text("frozen"), before);
      expect(outcome).toMatchObject({ kind: "unknown", reason: "no answer in time" });
    } finally {
      process.kill(server.pid, "SIGCONT");
    }
    const { seq } = await persist(2, "frozen", before);
    expect((await bus.journal.last(2))?.seq).toBe(seq);
    await until(() => seen.length > 0, 10_000, "the follower");
    const next = seqOf(await bus.journal.append(2, text("next"), seq));
    await until(() => seen.length > 1, 10_000, "the follower");
    expect(seen).toEqual(["frozen", "next"]);
    expect(next).toBe(seq + 1);
    await follower.stop();
  });

  async function persist2(partition: number, body: Uint8Array, expected: number): Promise<{ seq: number }> {
    return { seq: seqOf(await bus.journal.append(partition, body, expected)) };
  }

  it("a flush that a broken connection overtakes is made on the next one: its subscriptions are heard", async () => {
    await server.kill9();
    const heard: string[] = [];
    bus.wire.subscribe("flushed.late", (m) => heard.push(read(m.bytes)));
    const flushed = bus.wire.flush();
    await server.restart();
    await flushed;
    await until(() => other.wire.connected, 10_000, "the other's connection");
    other.wire.publish("flushed.late", text("here"));
    await until(() => heard.length > 0, 10_000, "the message");
    expect(heard).toEqual(["here"]);
  });

  it("a consumer that the server forgot is noticed without a reconnect", async () => {
    const seen: number[] = [];
    const first = (await bus.journal.bounds(0)).lastSeq + 1;
    const follower = await bus.journal.follow(0, first, (m) => seen.push(m.seq));
    const { connect } = await import("@nats-io/transport-node");
    const { jetstreamManager } = await import("@nats-io/jetstream");
    const nc = await connect({ servers: server.url });
    const jsm = await jetstreamManager(nc);
    for await (const consumer of jsm.consumers.list("TROUPE_JOURNAL_0")) {
      await jsm.consumers.delete("TROUPE_JOURNAL_0", consumer.name);
    }
    await nc.close();
    const last = (await bus.journal.last(0))?.seq ?? 0;
    const seq = seqOf(await bus.journal.append(0, text("after"), last));
    await until(() => seen.length > 0, 10_000, "the message");
    expect(seen).toEqual([seq]);
    await follower.stop();
  });

  it("ends a read whose end is removed meanwhile", async () => {
    for (let i = 0; i < 10; i++) await bus.records.put(3, ["end", String(i)], new Uint8Array(1_000_000), 0);
    const names: string[] = [];
    for await (const record of bus.records.scan(3, ["end"])) {
      names.push(record.name[1] ?? "");
      if (names.length === 1) await bus.records.remove(3, ["end", "9"], Number.MAX_SAFE_INTEGER - 1);
    }
    expect(names.slice(0, 5)).toEqual(["0", "1", "2", "3", "4"]);
  });
});

describe("nats: time", () => {
  it("is the server's, and close ends everything", async () => {
    const server = await startNatsServer();
    const bus = await connectNats({ servers: server.url, layout });
    const seq = seqOf(await bus.journal.append(0, text("x"), 0));
    const at = (await bus.journal.get(0, seq))?.at ?? 0;
    expect(Math.abs(bus.clock.now() - at)).toBeLessThan(200);
    await bus.journal.follow(0, 1, () => {});
    await bus.close();
    await bus.close();
    expect((await bus.journal.append(0, text("x"), seq)).kind).toBe("unknown");
    await server.stop();
  });
});
