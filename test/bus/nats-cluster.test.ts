/** The NATS driver on three replicated servers: what one server alone cannot show. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { startNatsCluster, type TestNatsServer } from "../support/nats-server.ts";
import { until } from "../support/until.ts";
import { read, text } from "./contract-support.ts";

describe("nats: three replicas", () => {
  let servers: TestNatsServer[];
  let bus: NatsBus;
  let other: NatsBus;
  beforeAll(async () => {
    servers = await startNatsCluster();
    const urls = servers.map((s) => s.url);
    const options = { servers: urls, startTimeoutMs: 45_000, writeTimeoutMs: 1_000 };
    bus = await connectNats({ ...options, layout: { partitions: 2, streams: 1, replicas: 3 } });
    other = await connectNats(options);
  });
  afterAll(async () => {
    await bus?.close();
    await other?.close();
    await Promise.all(servers.map((s) => s.stop()));
  });

  it("reads records as they were acknowledged, also from a server that lags", { timeout: 120_000 }, async () => {
    const name = (i: number) => ["lag", `${i}`];
    const seqs: number[] = [];
    const put = async (i: number, body: string): Promise<void> => {
      for (;;) {
        const outcome = await bus.records.put(0, name(i), text(body), seqs[i] ?? 0);
        if (outcome.kind === "stored") {
          seqs[i] = outcome.seq;
          return;
        }
        if (outcome.kind === "refused") seqs[i] = outcome.lastSeq;
        if (outcome.kind === "full") throw new Error(outcome.reason);
        await bus.clock.sleep(20);
      }
    };
    const count = 200;
    for (let i = 0; i < count; i++) await put(i, "old");
    for (const server of servers) {
      const readers = await Promise.all(
        servers.map((one) => connectNats({ servers: one.url, startTimeoutMs: 45_000, writeTimeoutMs: 1_000 })),
      );
      const body = `new ${server.port}`;
      process.kill(server.pid, "SIGSTOP");
      const thaw = setTimeout(() => process.kill(server.pid, "SIGCONT"), 20_000);
      for (let i = 0; i < count; i++) await put(i, body);
      clearTimeout(thaw);
      process.kill(server.pid, "SIGCONT");
      // At once: it has not heard yet of what was written meanwhile.
      const found = await Promise.all(
        readers.flatMap((reader) =>
          Array.from({ length: count }, (_, i) => reader.records.get(0, name(i), Math.max(...seqs))),
        ),
      );
      expect(new Set(found.map((one) => read(one?.bytes)))).toEqual(new Set([body]));
      for (const reader of readers) {
        expect(await reader.records.get(0, ["lag", "nobody"], Math.max(...seqs))).toBe(null);
        const scanned = new Map<string, string>();
        for await (const one of reader.records.scan(0, ["lag"], Math.max(...seqs)))
          scanned.set(one.name.join("/"), read(one.bytes));
        expect([scanned.size, new Set(scanned.values())]).toEqual([count, new Set([body])]);
      }
      await Promise.all(readers.map((reader) => reader.close()));
    }
  });

  it("loses, doubles and reorders nothing while servers are killed and come back", { timeout: 120_000 }, async () => {
    expect(other.layout.replicas).toBe(3);
    const seen: string[] = [];
    const follower = await other.journal.follow(0, 1, (m) => seen.push(read(m.bytes)));
    const written: string[] = [];
    const reasons = new Map<string, number>();
    let writing = true;
    const writer = async (partition: number) => {
      let last = 0;
      for (let i = 0; writing; i++) {
        const body = `${partition}/${i}`;
        for (;;) {
          const outcome = await bus.journal.append(partition, text(body), last);
          if (outcome.kind === "full") throw new Error(outcome.reason);
          if (outcome.kind === "unknown") {
            reasons.set(outcome.reason, (reasons.get(outcome.reason) ?? 0) + 1);
            await bus.clock.sleep(outcome.retryAfterMs);
            continue;
          }
          last = outcome.kind === "stored" ? outcome.seq : outcome.lastSeq;
          if (outcome.kind === "refused") expect(read((await bus.journal.get(partition, last))?.bytes)).toBe(body);
          break;
        }
        written.push(body);
      }
    };
    const writers = Promise.all([writer(0), writer(1)]);
    const progress = async () => {
      const from = written.length;
      await until(() => written.length >= from + 200, 30_000, "200 commits");
    };
    await progress();
    for (const server of servers) {
      await server.kill9();
      await progress();
      await server.restart();
      await progress();
    }
    writing = false;
    await writers;
    await until(() => seen.length >= written.length, 20_000, `the follower, ${seen.length} of ${written.length}`);
    for (const partition of [0, 1]) {
      const own = (list: string[]) => list.filter((body) => body.startsWith(`${partition}/`));
      expect(own(seen)).toEqual(own(written));
      const stored: string[] = [];
      for await (const m of bus.journal.read(partition, 1, Number.MAX_SAFE_INTEGER)) stored.push(read(m.bytes));
      expect(stored).toEqual(own(written));
    }
    await follower.stop();
  });
});
