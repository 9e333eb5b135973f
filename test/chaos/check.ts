/**
 * Looks at Troupe from outside when all is over and compares it with the ledger. Every sentence
 * that comes back is a broken promise.
 */
import { existsSync, readFileSync } from "node:fs";
import type { Effect } from "./agents.ts";
import { checkTask, checkTasksOfRuns } from "./check-tasks.ts";
import type { Body, Client, Json } from "./client.ts";
import { type Feed, type FeedEvent, streamEnds, type Told } from "./follow.ts";
import { eventually } from "./harness.ts";
import type { RunRecord, World } from "./world.ts";

export const runEnds = ["completed", "failed", "canceled"];
export const taskEnds = ["completed", "failed", "cancelled", "timed_out"];

/** A run's end without its ids and times: equal for runs of one variety. */
export async function resultOf(client: Client, id: string): Promise<string> {
  const run = await client.get(`/v1/runs/${id}`);
  // Kept side by side: their order says nothing.
  const artifacts = (run.artifacts as Body[]).toSorted((a, b) => String(a.name).localeCompare(String(b.name)));
  const kept: Json[] = [];
  for (const { artifact_id, type, name } of artifacts) {
    kept.push({ type, name, content: await client.artifact(artifact_id as string) } as Json);
  }
  const checkpoints = (run.checkpoints as Body[]).map((checkpoint) => {
    const decision = checkpoint.decision as Body | null;
    const { status, instructions, provided_input } = checkpoint;
    return { status, instructions, provided_input, approved: decision?.approved, note: decision?.note } as Json;
  });
  const { status, output, error, cost, stages } = run;
  return JSON.stringify({ status, output, error, cost, stages, checkpoints, kept }, null, 1).replaceAll(id, "RUN");
}

export interface Evidence {
  readonly world: World;
  readonly feed: Feed;
  /** Results of the undisturbed runs by variety. */
  readonly expected: ReadonlyMap<string, string>;
  readonly effectsFile: string;
}

/** All checks; gives what is wrong. */
export async function check(evidence: Evidence): Promise<string[]> {
  const { world, feed } = evidence;
  await feedCaughtUp(world, feed).catch((error: Error) => world.violations.push(error.message));
  const wrong = [...world.violations, ...world.client.faults, ...feed.errors];
  wrong.push(...(await checkRunList(world)));
  const byRoot = groupBy(feed.events, (event) => event.root);
  for (const run of world.runs.values()) wrong.push(...(await checkRun(evidence, run, byRoot.get(run.id) ?? [])));
  wrong.push(...checkFeed(world, byRoot));
  const effects = readEffects(evidence.effectsFile);
  for (const task of world.tasks.values()) {
    wrong.push(...(await checkTask(world.client, task, effects.get(task.id) ?? [], byRoot.get(task.id) ?? [])));
  }
  wrong.push(...(await checkTasksOfRuns(world, effects)));
  return wrong;
}

/** The feed is told everything in the end. */
async function feedCaughtUp(world: World, feed: Feed): Promise<void> {
  const open = new Set([...world.runs.keys(), ...world.tasks.keys()]);
  let seen = 0;
  const caughtUp = (): boolean => {
    for (; seen < feed.events.length; seen++) {
      const { root, key, type, name } = feed.events[seen] as FeedEvent;
      if (root === key && (type === "run" ? runEnds : taskEnds).includes(name)) open.delete(root);
    }
    return open.size === 0;
  };
  await eventually("the feed", caughtUp).catch(() => {
    throw new Error(`the feed never told of the end of ${[...open].slice(0, 5).join(", ")} (${open.size} roots)`);
  });
}

/** Acknowledged runs are there, once, and no others. */
async function checkRunList(world: World): Promise<string[]> {
  const wrong: string[] = [];
  const listed = await world.client.all("/v1/runs");
  const ids = listed.map((run) => run.run_id as string);
  if (new Set(ids).size !== ids.length) wrong.push("GET /v1/runs lists a run twice");
  const labels = new Map<string, string[]>();
  for (const run of listed) {
    const { key = "" } = run.labels as Record<string, string>;
    labels.set(key, [...(labels.get(key) ?? []), run.run_id as string]);
    if (!world.runs.has(run.run_id as string) && !world.tries.has(key)) wrong.push(`nobody created ${run.run_id}`);
    if (run.status !== "succeeded" && world.tries.has(key)) wrong.push(`${run.run_id} (${key}) is ${run.status}`);
  }
  const known = new Set(ids);
  for (const id of world.runs.keys()) if (!known.has(id)) wrong.push(`${id} was acknowledged and is not listed`);
  for (const [label, id] of world.tries) {
    const found = labels.get(label) ?? [];
    if (found.length > 1) wrong.push(`one try (${label}) gave ${found.length} runs`);
    if (id !== null && found[0] !== id) wrong.push(`${id} was acknowledged and is not listed`);
  }
  return wrong;
}

async function checkRun(evidence: Evidence, run: RunRecord, fed: readonly FeedEvent[]): Promise<string[]> {
  const { client } = evidence.world;
  const wrong: string[] = [];
  const expected = evidence.expected.get(run.variety);
  const result = await resultOf(client, run.id).catch((error: Error) => error.message);
  if (result !== expected) wrong.push(`${run.id} (${run.variety}) ended otherwise:\n${difference(expected, result)}`);
  const stored = await client.all(`/v1/runs/${run.id}/events`, 20);
  const ids = stored.map((event) => event.event_id as string);
  if (new Set(ids).size !== ids.length) wrong.push(`${run.id}: an event id is stored twice`);
  const numbers = ids.map((id) => Number.parseInt(id.split("_")[1] ?? "", 36));
  if (numbers.some((no, i) => i > 0 && no <= (numbers[i - 1] as number))) wrong.push(`${run.id}: events out of order`);
  const told = await run.stream.then((stream) => stream.told).catch((error: Error) => error);
  if (told instanceof Error) wrong.push(told.message);
  else wrong.push(...sameStream(run.id, told, stored));
  wrong.push(...checkSteps(run.id, stored, result));
  const fedNumbers = new Set(fed.map((event) => event.no));
  if (numbers.some((no) => !fedNumbers.has(no))) wrong.push(`${run.id}: stored events that the feed did not tell`);
  return wrong;
}

function difference(expected: string | undefined, result: string): string {
  const before = (expected ?? "nothing to compare with").split("\n");
  const after = result.split("\n");
  const at = after.findIndex((line, i) => line !== before[i]);
  return `  expected: ${before[at]}\n  got:      ${after[at]}`;
}

/**
 * What the resumed stream told is what is stored: each once, in order, with the same content. The
 * stream ends with the run's end; steps that a cancellation cut off are stored after it.
 */
function sameStream(run: string, told: readonly Told[], stored: readonly Body[]): string[] {
  const a = told.map(({ id, event, data }) => `${id} ${event} ${JSON.stringify(data)}`);
  const end = stored.findIndex((event) => streamEnds.includes(event.type as string));
  const b = stored.slice(0, end + 1).map((event) => `${event.event_id} ${event.type} ${JSON.stringify(event)}`);
  const at = a.findIndex((line, i) => line !== b[i]);
  if (at < 0 && a.length === b.length) return [];
  return [`${run}: the stream told ${a.length} events, ${b.length} are stored; first other: ${a[at]} for ${b[at]}`];
}

/** Each step completes once; the run starts and ends once. */
function checkSteps(run: string, stored: readonly Body[], result: string): string[] {
  const wrong: string[] = [];
  const completed = new Map<string, number>();
  for (const { type, step_id } of stored) {
    if (type === "step.completed") completed.set(step_id as string, (completed.get(step_id as string) ?? 0) + 1);
  }
  for (const [step, times] of completed) if (times !== 1) wrong.push(`${run}: ${step} completed ${times} times`);
  const count = (...types: string[]): number => stored.filter(({ type }) => types.includes(type as string)).length;
  if (count("run.started") !== 1) wrong.push(`${run}: started ${count("run.started")} times`);
  const ends = count("run.completed", "run.failed", "run.canceled");
  if (ends !== 1) wrong.push(`${run}: ended ${ends} times`);
  const { stages, checkpoints } = JSON.parse(result) as { stages: Body[]; checkpoints: Json[] };
  if (count("hitl.required") !== checkpoints.length) wrong.push(`${run}: asked ${count("hitl.required")} times`);
  if (count("hitl.resolved") !== checkpoints.length) wrong.push(`${run}: decided ${count("hitl.resolved")} times`);
  const done = stages.reduce(
    (sum, { status, done }) => sum + (status === "completed" ? ((done as number) ?? 1) : 0),
    0,
  );
  const waited = checkpoints.filter((one) => (one as Body).status !== "resolved" || (one as Body).approved === true);
  const rejected = checkpoints.filter((one) => (one as Body).approved === false).length;
  const steps = done - waited.length + rejected;
  if (completed.size !== steps) wrong.push(`${run}: ${completed.size} steps completed, its stages say ${steps}`);
  return wrong;
}

/** Per root: numbers from 1 without gap or double, in order, whatever was killed meanwhile. */
function checkFeed(world: World, byRoot: ReadonlyMap<string, readonly FeedEvent[]>): string[] {
  const wrong: string[] = [];
  for (const root of [...world.runs.keys(), ...world.tasks.keys()]) {
    const numbers = (byRoot.get(root) ?? []).map((event) => event.no);
    const at = numbers.findIndex((no, i) => no !== i + 1);
    if (at >= 0) wrong.push(`feed of ${root}: event ${numbers[at]} came where ${at + 1} belongs`);
  }
  const ends = new Map<string, string[]>();
  const once = new Set<string>();
  for (const { type, key, name, data } of [...byRoot.values()].flat()) {
    if (type !== "task") continue;
    if (taskEnds.includes(name)) ends.set(key, [...(ends.get(key) ?? []), name]);
    const what = `${key}, attempt ${data.attempt}: ${name}`;
    // What an agent tells is stored at least once; all else, progress too, once per attempt.
    if (once.has(what) && name !== "tool_called") wrong.push(`${what}, twice`);
    once.add(what);
  }
  for (const [key, names] of ends) if (names.length > 1) wrong.push(`${key} ended as ${names.join(", ")}`);
  return wrong;
}

/** What the agents did, by task. */
export function readEffects(file: string): Map<string, Effect[]> {
  if (!existsSync(file)) return new Map();
  const lines = readFileSync(file, "utf8").split("\n");
  // A process killed while it wrote may leave half a line.
  const effects = lines.filter((line) => line.endsWith("}")).map((line) => JSON.parse(line) as Effect);
  return groupBy(effects, (effect) => effect.task);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
