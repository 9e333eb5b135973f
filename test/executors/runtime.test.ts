import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AgentExecutor } from "../../src/actors/executors/agent.ts";
import type { ExecutorPort } from "../../src/actors/executors/port.ts";
import { ResolveExecutor } from "../../src/actors/executors/resolve.ts";
import { type Host, startHost } from "../../src/actors/host.ts";
import { builtInAgents, builtInWorkflows } from "../../src/builtin/index.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import type { Json } from "../../src/machines/effects.ts";
import type { ArtifactEntry, JsonObject } from "../../src/machines/index.ts";
import { canonicalJson, definitions, parseWorkflow } from "../../src/machines/index.ts";
import { type Paged, pagedItems } from "../../src/machines/paged.ts";

/** The built-in workflows on the real runtime and the real machines, over the memory bus. */
let bus: MemoryBus;
let host: Host;
const problems: { fields: object; message: string }[] = [];
const note = (fields: object, message: string) => {
  problems.push({ fields, message });
};
const logger = { debug() {}, info() {}, warn: note, error: note };

beforeEach(async () => {
  problems.length = 0;
  bus = createMemoryBus({ clock: systemClock, layout: { partitions: 2, streams: 1, replicas: 1 } });
  host = await startHost({
    bus,
    definitions,
    settings: { leaseMs: 2_000, flushMs: 100, replayBytes: 1 << 20, activeMax: 10_000 },
    logger,
    name: "test",
    executors: (runtime, node) => {
      const port: ExecutorPort = {
        ask: (to, command) => runtime.ask(to, command),
        announce: runtime.announce.bind(runtime),
        values: runtime.values,
        clock: bus.clock,
        node,
        logger,
      };
      const agents = new AgentExecutor(port);
      for (const agent of builtInAgents()) agents.host(agent);
      return [agents, new ResolveExecutor(port)];
    },
  });
});
afterEach(async () => {
  await host.stop(1_000);
  await bus.close();
});

const sha = (value: unknown) => createHash("sha256").update(canonicalJson(value)).digest("hex");

async function create(runId: string, name: string, input: Json): Promise<void> {
  const parsed = parseWorkflow(builtInWorkflows.find((workflow) => workflow.name === name));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  const { definition } = parsed;
  const kept = await host.runtime.values.offload(runId, input);
  const hashes = { workflow: sha(name), input: sha(input), context: sha(null), metadata: sha({}), labels: sha({}) };
  await host.runtime.ask(
    { type: "run", key: runId },
    {
      type: "run.create",
      workflow: { name, version: definition.version, hash: sha(definition), definition },
      input: kept,
      traceId: "t",
      requestHash: hashes,
      createdBy: "test",
    },
  );
}

const view = async (runId: string) => (await host.runtime.read({ type: "run", key: runId })).view as JsonObject;

async function reach(runId: string, status: string): Promise<JsonObject> {
  await expect.poll(async () => (await view(runId)).status, { timeout: 20_000, interval: 20 }).toBe(status);
  return view(runId);
}

const handbook = readFileSync(new URL("../builtin/fixtures/handbook.txt", import.meta.url), "utf8");

async function report(run: JsonObject): Promise<string> {
  const artifacts = pagedItems(run.artifacts as unknown as Paged<ArtifactEntry>);
  const bytes = await host.runtime.values.getBytes(artifacts.find((a) => a.type === "file")?.blob as never);
  return Buffer.from(bytes as Uint8Array).toString();
}

describe("the built-in workflows on the runtime", () => {
  it("echo", async () => {
    await create("e1", "echo", { hi: [1, 2] });
    expect(await reach("e1", "succeeded")).toMatchObject({ output: { hi: [1, 2] } });
    expect(problems).toEqual([]);
  });

  it("echo of 20 MiB", { timeout: 60_000 }, async () => {
    const input = { text: "x".repeat(20 * 1024 * 1024) };
    await create("e2", "echo", input);
    const run = await reach("e2", "succeeded");
    expect(await host.runtime.values.load(run.output as Json)).toEqual(input);
  });

  it("document-brief waits for a human, and publishes what they wrote", async () => {
    await create("d1", "document-brief", { text: handbook });
    const waiting = await reach("d1", "waiting_human");
    const [checkpoint] = waiting.checkpoints as unknown as { checkpointId: string; instructions: string }[];
    expect(checkpoint?.instructions).toContain("harbour master");
    await host.runtime.ask(
      { type: "run", key: "d1" },
      {
        type: "run.decide",
        checkpointId: checkpoint?.checkpointId,
        decision: "provide_input",
        input: { summary: "Mine." },
      },
    );
    const run = await reach("d1", "succeeded");
    expect(run.output).toMatchObject({
      title: "Harbour Handbook",
      summary: "Mine.",
      report: { name: "harbour-handbook.md" },
    });
    expect(await report(run)).toContain("Mine.");
    expect(problems).toEqual([]);
  });

  it("document-brief, rejected, fails with that code", async () => {
    await create("d2", "document-brief", { text: handbook });
    await reach("d2", "waiting_human");
    const decide = { type: "run.decide", checkpointId: "review", decision: "reject", note: "too long" };
    await host.runtime.ask({ type: "run", key: "d2" }, decide);
    expect((await reach("d2", "failed")).error).toMatchObject({ code: "rejected" });
  });

  it("document-brief of five MiB, approved by itself", { timeout: 120_000 }, async () => {
    const text = handbook.repeat(Math.ceil((5 * 1024 * 1024) / handbook.length));
    const began = performance.now();
    await create("d3", "document-brief", { title: "Big", text, auto_approve: true });
    const run = await reach("d3", "succeeded");
    expect(run.output).toMatchObject({ title: "Big", report: { name: "big.md" } });
    expect(await report(run)).toMatch(/^# Big\n/);
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(problems).toEqual([]);
  });
});
