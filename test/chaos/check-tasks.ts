/**
 * Checks of tasks: how each kind ends, which attempts were charged to its retry policy, and that
 * what the agents really did agrees with the history that Troupe tells.
 */
import type { Effect } from "./agents.ts";
import type { Body, Client } from "./client.ts";
import type { FeedEvent } from "./follow.ts";
import type { TaskRecord, World } from "./world.ts";

/** How each kind must end, and the attempts that must have been charged; lost ones come on top. */
const endings: Record<TaskRecord["kind"], { status: string; charged: string[] }> = {
  slow: { status: "completed", charged: ["completed"] },
  chained: { status: "completed", charged: ["completed"] },
  failing: { status: "failed", charged: ["failed", "failed", "failed"] },
  hanging: { status: "timed_out", charged: ["timed_out", "timed_out"] },
  deadline: { status: "timed_out", charged: [] },
};

export async function checkTask(
  client: Client,
  record: TaskRecord,
  effects: readonly Effect[],
  fed: readonly FeedEvent[],
): Promise<string[]> {
  const task = await client.get(`/v1/tasks/${encodeURIComponent(record.id)}`);
  const wrong = [
    ...checkAttempts(record.id, task, endings[record.kind].charged),
    ...checkEffects(record.id, task, effects),
  ];
  const { status } = endings[record.kind];
  if (task.status !== status)
    wrong.push(`${record.id} (${record.kind}) is ${task.status}: ${JSON.stringify(task.error)}`);
  if (record.kind === "slow" || record.kind === "chained") {
    const { value } = record.body.input as Body;
    if ((task.output as Body | null)?.value !== value)
      wrong.push(`${record.id}: output ${JSON.stringify(task.output)}`);
  }
  wrong.push(...checkTimes(record, task), ...checkEvents(record.id, task, fed));
  if (record.kind === "chained") wrong.push(...(await checkOrder(client, record, task)));
  return wrong;
}

/** The charged attempts are exactly these, in order; all others were lost. Attempts have rising numbers. */
function checkAttempts(id: string, task: Body, charged: readonly string[]): string[] {
  const wrong: string[] = [];
  const attempts = task.attempts as Body[];
  const results = attempts.map((attempt) => attempt.result as string);
  const counted = results.filter((result) => result !== "lost");
  if (counted.join() !== charged.join()) wrong.push(`${id}: attempts ${results.join(", ") || "none"}`);
  const numbers = attempts.map((attempt) => attempt.attempt as number);
  if (numbers.some((n, i) => i > 0 && n !== (numbers[i - 1] as number) + 1)) wrong.push(`${id}: attempts ${numbers}`);
  return wrong;
}

/** No attempt began twice; what completed was carried out by that very attempt. */
function checkEffects(id: string, task: Body, effects: readonly Effect[]): string[] {
  const wrong: string[] = [];
  const begun = effects.filter(({ phase }) => phase === "begin").map(({ attempt }) => attempt);
  if (new Set(begun).size !== begun.length) wrong.push(`${id}: an attempt began twice: ${begun.join(", ")}`);
  const attempts = task.attempts as Body[];
  for (const { attempt, result } of attempts) {
    const phase = result === "timed_out" ? "begin" : "end";
    if (result === "lost" || result === "cancelled") continue;
    const done = effects.some((effect) => effect.attempt === attempt && effect.phase === phase);
    if (!done) wrong.push(`${id}: attempt ${attempt} is ${result}, but never came to its ${phase}`);
  }
  return wrong;
}

const at = (value: unknown): number => Date.parse(value as string);

/** Reminders: never early. */
function checkTimes(record: TaskRecord, task: Body): string[] {
  const wrong: string[] = [];
  for (const { attempt, result, started_at, ended_at } of task.attempts as Body[]) {
    const took = at(ended_at) - at(started_at);
    const limit = record.body.timeout_ms as number | undefined;
    if (result === "timed_out" && limit !== undefined && took < limit) {
      wrong.push(`${record.id}: attempt ${attempt} timed out after ${took} ms instead of ${limit}`);
    }
  }
  const { deadline } = record.body;
  if (deadline !== undefined && at(task.finished_at) < at(deadline)) {
    wrong.push(`${record.id}: ended at ${task.finished_at}, before its deadline ${deadline}`);
  }
  return wrong;
}

/** The events tell the same history: each attempt's end once, one end of all. */
function checkEvents(id: string, task: Body, fed: readonly FeedEvent[]): string[] {
  const wrong: string[] = [];
  const count = (name: string): number => fed.filter((event) => event.name === name).length;
  const results = (task.attempts as Body[]).map((attempt) => attempt.result as string);
  const lost = results.filter((result) => result === "lost").length;
  if (results.length < 32 && count("lost") !== lost)
    wrong.push(`${id}: ${count("lost")} events lost, ${lost} attempts`);
  if (count("created") !== 1) wrong.push(`${id}: created ${count("created")} times`);
  const told = fed.some(({ name, data }) => name === "tool_called" && data.attempt === task.attempt);
  if (task.task_type === "chaos-slow" && !told) wrong.push(`${id}: its last attempt's tool call is not stored`);
  if (count(task.status as string) !== 1) wrong.push(`${id}: ${count(task.status as string)} events ${task.status}`);
  return wrong;
}

async function checkOrder(client: Client, record: TaskRecord, task: Body): Promise<string[]> {
  const wrong: string[] = [];
  for (const id of (record.body.dependencies as string[] | undefined) ?? []) {
    const before = await client.get(`/v1/tasks/${encodeURIComponent(id)}`);
    const first = (task.attempts as Body[]).find((attempt) => attempt.started_at !== null);
    // Two partitions have two clocks, of one server.
    if (at(first?.started_at) < at(before.finished_at) - 50) wrong.push(`${record.id} started before ${id} ended`);
  }
  return wrong;
}

/** Tasks inside of runs: completed ones were charged one attempt, with the same proof from the agents. */
export async function checkTasksOfRuns(world: World, effects: ReadonlyMap<string, Effect[]>): Promise<string[]> {
  const wrong: string[] = [];
  const known = new Set<string>();
  for (const task of await world.client.all("/v1/tasks", 200)) {
    const id = task.task_id as string;
    if (known.has(id)) wrong.push(`GET /v1/tasks lists ${id} twice`);
    known.add(id);
    const run = task.run_id as string | null;
    if (run === null) {
      if (!world.tasks.has(id)) wrong.push(`nobody created ${id}`);
      continue;
    }
    if (world.runs.get(run)?.variety === "cancel") continue;
    if (task.status !== "completed") wrong.push(`${id} is ${task.status}: ${JSON.stringify(task.error)}`);
    wrong.push(...checkAttempts(id, task, ["completed"]));
    if ((task.task_type as string).startsWith("chaos-")) wrong.push(...checkEffects(id, task, effects.get(id) ?? []));
  }
  for (const id of world.tasks.keys()) if (!known.has(id)) wrong.push(`${id} was acknowledged and is not listed`);
  return wrong;
}
