import { describe, expect, it } from "vitest";
import type { BlobRef } from "../../src/actors/client.ts";
import { ResolveExecutor } from "../../src/actors/executors/resolve.ts";
import type { Work } from "../../src/actors/work.ts";
import { BusError } from "../../src/bus/bus.ts";
import type { Json, JsonObject } from "../../src/machines/effects.ts";
import { emptyPaged, pagedOf } from "../../src/machines/paged.ts";
import { compilePlan } from "../../src/machines/workflow/compile.ts";
import { workflowSchema } from "../../src/machines/workflow/schema.ts";
import { fakePort, settle } from "./fakes.ts";

const stages = [
  { name: "split", agent_type: "s" },
  {
    name: "each",
    agent_type: "e",
    dependencies: ["split"],
    for_each: "stages.split.output.list",
    input: { item: "${item}", n: "${stages.split.output.n}" },
  },
  {
    name: "heads",
    agent_type: "e",
    dependencies: ["split"],
    for_each: "stages.split.output.list",
    input: "${item.title}",
  },
  {
    name: "whole",
    agent_type: "e",
    dependencies: ["split"],
    input: { size: "${size(stages.split.output.list)}", all: "${stages.split.output}" },
  },
  { name: "maybe", agent_type: "e", dependencies: ["split"], when: "stages.split.output.text.startsWith('zz')" },
  { name: "wrong", agent_type: "e", dependencies: ["split"], input: "${stages.split.output.nothing.here}" },
  {
    name: "ask",
    kind: "checkpoint",
    title: "T",
    dependencies: ["split"],
    instructions: "Text: ${stages.split.output.text}",
  },
];

/** A run whose stage `split` has ended with this output. */
function work(output: Json, stage: string, more: object = {}): Work {
  const definition = workflowSchema.parse({
    ...{ name: "w", version: "1.0.0", stages, output: "${stages.split.output}" },
    ...more,
  });
  const context = {
    runId: "r1",
    workflow: { name: "w", version: "1.0.0", hash: "0" },
    definition,
    plan: compilePlan(definition),
    input: null,
    runContext: null,
    metadata: {},
    labels: {},
    stages: pagedOf(
      stages.map((_, i) => (i === 0 ? { status: "completed", unmet: 0, output } : { status: "resolving", unmet: 0 })),
    ),
    artifacts: emptyPaged(),
  };
  const id = `resolve-${stage}-1`;
  return {
    address: { type: "run", key: "r1" },
    id,
    kind: "resolve",
    spec: { stage },
    context: context as unknown as JsonObject,
  };
}

const list = Array.from({ length: 900 }, (_, i) => ({ title: `T${i}`, text: `${i} `.repeat(400) }));
const value = { n: 7, list, text: "zz".repeat(50_000) };

async function resolve(stage: string, failures: Error[] = [], more: object = {}) {
  const fake = fakePort();
  const executor = new ResolveExecutor(fake.port);
  const output = await fake.port.values.offload("r1", value as unknown as Json);
  fake.blobs.failures.push(...failures);
  executor.start(work(output, stage, more));
  await fake.clock.step(1_000);
  expect(fake.said).toHaveLength(1);
  expect(fake.said[0]?.to).toEqual({ type: "run", key: "r1" });
  const { command } = fake.said[0] as { command: JsonObject };
  expect(command).toMatchObject({ type: "run.resolve", stage });
  expect(JSON.stringify(command).length).toBeLessThan(70_000);
  return { ...fake, executor, command };
}

describe("resolving", () => {
  it("a large fan-out becomes a stored list of inputs that point into what is stored already", async () => {
    const { command, port, blobs } = await resolve("each");
    expect(command).toMatchObject({ ok: true, count: 900 });
    const itemsRef = command.itemsRef as unknown as BlobRef;
    const at = { $blob: { ...itemsRef.$blob, at: "/17" } };
    expect(await port.values.load(at)).toEqual({ item: list[17], n: 7 });
    // The sections' text was not stored a second time.
    expect(itemsRef.$blob.bytes).toBeLessThan(250_000);
    expect([...blobs.stored.keys()].every((name) => name.startsWith("r1/"))).toBe(true);
  });

  it("loads everything when an expression looks into the items", async () => {
    const { command } = await resolve("heads");
    expect(command).toMatchObject({ ok: true, items: list.map((item) => item.title) });
  });

  it("offloads a large input", async () => {
    const { command, port } = await resolve("whole");
    expect(command.ok).toBe(true);
    expect(await port.values.load(command.input as Json)).toEqual({ size: 900, all: value });
  });

  it("evaluates conditions on large values", async () => {
    expect((await resolve("maybe")).command).toMatchObject({ ok: true, input: {} });
  });

  it("gives people's instructions as text", async () => {
    const { command } = await resolve("ask");
    expect(command.input).toMatch(/^Text: zzzz/);
  });

  it("resolves the run's output", async () => {
    const { command, port } = await resolve("$output");
    expect(await port.values.load(command.output as Json)).toEqual(value);
  });

  it("checks the run's output against the workflow's schema, with what is kept outside loaded", async () => {
    const items = (text: string) => ({ items: { properties: { text: { type: text } } } });
    const fits = { output_schema: { type: "object", required: ["n"], properties: { list: items("string") } } };
    const { command, port } = await resolve("$output", [], fits);
    expect(command.ok).toBe(true);
    expect(await port.values.load(command.output as Json)).toEqual(value);
    const departs = { output_schema: { type: "object", properties: { list: items("number") } } };
    expect((await resolve("$output", [], departs)).command).toMatchObject({
      ok: false,
      error: {
        code: "invalid_output",
        message: expect.stringContaining("output.list[0].text must be number"),
        details: { problems: [{ path: "output.list[0].text", message: "must be number" }] },
      },
    });
    const unusable = { output_schema: { type: "colour" } };
    expect((await resolve("$output", [], unusable)).command).toMatchObject({
      ok: false,
      error: { code: "invalid_output", message: expect.stringContaining("not a usable JSON Schema") },
    });
  });

  it("tells what is wrong with an expression", async () => {
    const { command } = await resolve("wrong");
    expect(command).toMatchObject({ ok: false, error: expect.stringMatching(/^input: .*nothing/) });
  });

  it("waits for a store that is away", async () => {
    const { command } = await resolve("maybe", [
      new BusError("unreachable", "away"),
      new BusError("unreachable", "away"),
    ]);
    expect(command.ok).toBe(true);
  });

  it("an aborted one says nothing", async () => {
    const fake = fakePort();
    const executor = new ResolveExecutor(fake.port);
    const output = await fake.port.values.offload("r1", value as unknown as Json);
    for (let i = 0; i < 20; i++) executor.start({ ...work(output, "each"), id: `resolve-each-${i}` });
    for (let i = 0; i < 20; i++) executor.abort({ type: "run", key: "r1" }, `resolve-each-${i}`, "cancelled");
    await settle();
    expect(fake.said).toEqual([]);
    await executor.drain(1_000);
  });
});
