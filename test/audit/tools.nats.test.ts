import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AuditReport } from "../../src/actors/audit/report.ts";
import { connectNats } from "../../src/bus/nats/bus.ts";
import { runTool, type ToolCall } from "../../src/tools.ts";
import { fill, hostOver, journalOf, layout, settled } from "../corruption/support.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";

let server: TestNatsServer;
let other: TestNatsServer;
let folder: string;
beforeAll(async () => {
  [server, other, folder] = await Promise.all([
    startNatsServer(),
    startNatsServer(),
    mkdtemp(join(tmpdir(), "troupe-tools-")),
  ]);
});
afterAll(async () => {
  await Promise.all([server.stop(), other.stop(), rm(folder, { recursive: true, force: true })]);
});

async function tool(url: string, call: ToolCall): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const output = { print: (line: string) => out.push(line), complain: (line: string) => err.push(line) };
  const code = await runTool(call, {}, { NATS_URL: url }, output);
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("audit, backup and restore beside a running node; a deleted message is found", { timeout: 60_000 }, async () => {
  expect(await tool(server.url, { name: "audit" })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no Troupe store/),
  });
  const bus = await connectNats({ servers: server.url, layout });
  const host = await hostOver(bus);
  await fill(host);
  await host.runtime.values.putBytes("k0", new Uint8Array(1_200_000).fill(3));
  await settled(host);
  expect(await tool(server.url, { name: "audit", deep: true })).toMatchObject({
    code: 0,
    out: expect.stringMatching(/sound$/),
  });

  const file = join(folder, "one.troupe");
  expect(await tool(server.url, { name: "backup", file })).toMatchObject({ code: 0, err: "" });
  expect(await tool(server.url, { name: "restore", file })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/not empty/),
  });
  expect(await tool(other.url, { name: "restore", file })).toMatchObject({ code: 0, err: "" });
  const { code, out } = await tool(other.url, { name: "audit", deep: true, json: true });
  const report = JSON.parse(out) as AuditReport;
  expect({ code, problems: report.problems, actors: report.partitions.map((p) => p.actors) }).toEqual({
    code: 0,
    problems: [],
    actors: [3, 3, 3, 3],
  });
  const second = await connectNats({ servers: other.url });
  const restored = await hostOver(second);
  const before = await host.runtime.read({ type: "counter", key: "k0" });
  expect(await restored.runtime.read({ type: "counter", key: "k0" })).toMatchObject({ view: before.view });
  await restored.stop();
  await second.close();
  expect(await tool(other.url, { name: "audit" })).toMatchObject({ code: 0 });

  const journal = await journalOf(bus, 1);
  const { seq } = journal[journal.length >> 1] as { seq: number };
  await host.stop();
  await bus.close();
  const nc = await connect({ servers: server.url });
  const stream = `TROUPE_JOURNAL_${1 % layout.streams}`;
  await nc.request(`$JS.API.STREAM.MSG.DELETE.${stream}`, JSON.stringify({ seq }), { timeout: 5000 });
  await nc.close();
  const hurt = await tool(server.url, { name: "audit" });
  expect(hurt.code).toBe(1);
  expect(hurt.out).toMatch(/^partition 1: 1 problem/m);
  expect(hurt.out).toMatch(/journal \d+: broken_chain/);
  expect(hurt.out).toMatch(/^partition 0: sound/m);
});
