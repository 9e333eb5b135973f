/**
 * What clients do while Troupe is killed under them: documents with and without a human, fan-outs,
 * checkpoints that run out, cancellations, tasks that are slow, fail, hang, are late, depend.
 */
import { readFileSync } from "node:fs";
import type { Body } from "./client.ts";
import { workflows } from "./fixtures/workflows.ts";
import { eventually } from "./harness.ts";
import type { TaskRecord, World } from "./world.ts";

const documents = ["harbour.md", "bees.md", "letter.txt"];
const decisions = ["auto", "approve", "edit", "reject"] as const;
type Decision = (typeof decisions)[number];

const endMsMax = 150_000;
const taskEnds = ["completed", "failed", "cancelled", "timed_out"];

const texts = new Map(
  documents.map((name) => [name, readFileSync(new URL(`./fixtures/${name}`, import.meta.url), "utf8")]),
);

export async function registerWorkflows(world: World): Promise<void> {
  for (const workflow of workflows) {
    const { status, body } = await world.client.send("PUT", `/v1/workflows/${workflow.name}`, workflow as never);
    if (status >= 300) throw new Error(`PUT ${workflow.name}: ${status} ${JSON.stringify(body)}`);
  }
}

async function brief(world: World, document: string, decision: Decision | "duel"): Promise<void> {
  const auto = decision === "auto" ? { auto_approve: true } : {};
  const run = await world.createRun(`brief/${document}/${decision}`, "document-brief@1.0.0", {
    text: texts.get(document) as string,
    ...auto,
  });
  if (decision !== "auto") {
    await waitFor(world, `/v1/runs/${run.id}`, (body) => body.status === "waiting_human");
    if (decision === "duel") run.variety = `brief/${document}/${await duel(world, run.id)}`;
    else {
      world.expect(await decide(world, run.id, decision), `${run.id}: ${decision} was refused`);
    }
  }
  await run.stream;
}

/**
 * Decides, and tells whether that was acknowledged. When an answer was lost, the run may have taken
 * this very decision and ended; then it is refused, and the checkpoint shows whose it was.
 */
async function decide(world: World, run: string, decision: Exclude<Decision, "auto">): Promise<boolean> {
  const { verb, body, status } = ways[decision];
  const reply = await world.client.send("POST", `/v1/runs/${run}/human/review/${verb}`, body);
  if (reply.status === 200) return true;
  world.expect(reply.status === 409, `${run}: ${verb} was answered with ${JSON.stringify(reply)}`);
  if (!reply.doubt) return false;
  const { checkpoints } = await world.client.get(`/v1/runs/${run}`);
  const [review] = checkpoints as Body[];
  return review?.status === status && (review.decision as Body).note === body.note;
}

const ways = {
  approve: { verb: "approve", body: { note: "as it is" }, status: "approved" },
  reject: { verb: "reject", body: { note: "too long" }, status: "rejected" },
  edit: { verb: "provide_input", body: { input: { summary: "Shorter." }, note: "my words" }, status: "input_provided" },
} as const;

/** Two humans decide at once: one is acknowledged, the other one is refused. */
async function duel(world: World, run: string): Promise<Decision> {
  const [approved, rejected] = await Promise.all([decide(world, run, "approve"), decide(world, run, "reject")]);
  world.expect(approved !== rejected, `${run}: approved: ${approved}, rejected: ${rejected}`);
  return approved ? "approve" : "reject";
}

async function echo(world: World): Promise<void> {
  const run = await world.createRun("echo", "echo@0.1.0", { hello: "harbour" });
  await run.stream;
}

async function fan(world: World, ms: number): Promise<void> {
  const items = Array.from({ length: 8 }, (_, i) => ({ ms: ms * (i % 3), value: i }));
  const run = await world.createRun("fan", "chaos-fan@1.0.0", { items });
  await run.stream;
}

async function expiry(world: World): Promise<void> {
  const run = await world.createRun("expiry", "chaos-expiry@1.0.0", { value: 7 });
  await run.stream;
}

async function cancel(world: World): Promise<void> {
  const run = await world.createRun("cancel", "chaos-wait@1.0.0", {});
  const { status, body } = await world.client.send("DELETE", `/v1/runs/${run.id}`);
  world.expect(status === 202, `${run.id}: DELETE was answered with ${status} ${JSON.stringify(body)}`);
  await run.stream;
}

async function slow(world: World, ms: number): Promise<void> {
  // One attempt is all it has: a killed process must not count as one.
  await ended(world, await world.createTask("slow", slowTask(world, ms)));
}

function slowTask(world: World, ms: number): Body {
  return { task_type: "chaos-slow", input: { ms, value: world.next() }, retry: { max_attempts: 1 } };
}

async function failing(world: World): Promise<void> {
  const retry = { max_attempts: 3, backoff: "fixed", initial_ms: 100, jitter: 0 };
  await ended(world, await world.createTask("failing", { task_type: "chaos-failing", input: null, retry }));
}

async function hanging(world: World): Promise<void> {
  const retry = { max_attempts: 2, backoff: "fixed", initial_ms: 50, jitter: 0 };
  const body = { task_type: "chaos-hanging", input: null, timeout_ms: world.random.between(100, 400), retry };
  await ended(world, await world.createTask("hanging", body));
}

async function deadline(world: World, ms: number): Promise<void> {
  const body = { task_type: "chaos-nobody", input: null, deadline: new Date(Date.now() + ms).toISOString() };
  await ended(world, await world.createTask("deadline", body));
}

/** Tasks of several roots, each after the one before: mail between partitions. */
async function chain(world: World): Promise<void> {
  let before: TaskRecord | undefined;
  const all: TaskRecord[] = [];
  for (let i = 0; i < 4; i++) {
    const body: Body = { ...slowTask(world, 10), ...(before && { dependencies: [before.id] }) };
    before = await world.createTask("chained", body);
    all.push(before);
  }
  for (const task of all) await ended(world, task);
}

async function ended(world: World, task: TaskRecord): Promise<void> {
  await waitFor(world, `/v1/tasks/${encodeURIComponent(task.id)}`, (body) => taskEnds.includes(body.status as string));
}

async function waitFor(world: World, path: string, holds: (body: Body) => boolean): Promise<void> {
  let last: Body = {};
  const look = async (): Promise<boolean> => {
    last = await world.client.get(path);
    return holds(last);
  };
  await eventually(path, look, endMsMax, 40).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last).slice(0, 2_000)}`);
  });
}

/** Every variety once, undisturbed, so many at once: what the others are compared with. */
export async function undisturbed(world: World, width = 1): Promise<void> {
  const briefs = documents.flatMap((document) => decisions.map((decision) => () => brief(world, document, decision)));
  const others = [() => echo(world), () => fan(world, 20), () => expiry(world), () => cancel(world)];
  const scenarios = [...briefs, ...others];
  const work = async (): Promise<void> => {
    for (let next = scenarios.shift(); next !== undefined; next = scenarios.shift()) await next();
  };
  await Promise.all(Array.from({ length: width }, work));
}

/** One of all, by chance. */
export function anything(world: World): Promise<void> {
  const { random } = world;
  const of: (() => Promise<void>)[] = [
    () => brief(world, random.pick(documents), "auto"),
    () => brief(world, random.pick(documents), random.pick(decisions)),
    () => brief(world, random.pick(documents), random.pick(["approve", "duel"])),
    () => echo(world),
    () => echo(world),
    () => fan(world, random.between(0, 200)),
    () => expiry(world),
    () => cancel(world),
    () => slow(world, random.between(20, 700)),
    () => failing(world),
    () => hanging(world),
    () => deadline(world, random.between(200, 6_000)),
    () => chain(world),
    () => world.tryRun(),
  ];
  return random.pick(of)();
}

/** Many small commands at once, so that a kill meets commits in flight. */
export async function burst(world: World, size: number): Promise<void> {
  const one = (i: number): Promise<void> => (i % 3 === 2 ? slow(world, 1) : i % 3 === 1 ? world.tryRun() : echo(world));
  await Promise.all(Array.from({ length: size }, (_, i) => one(i)));
}
