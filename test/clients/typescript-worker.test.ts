/**
 * The TypeScript worker SDK against a real Troupe: real work, progress, failure, giving back,
 * cancellation, and the server killed while a task runs.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type Task,
  TaskFailure,
  TaskRejected,
  Worker,
  type WorkerOptions,
} from "../../clients/typescript/src/index.ts";
import { until } from "../support/until.ts";
import { type Answer, RestartableTroupe } from "./restartable.ts";

const longMs = 60_000;
let troupe: RestartableTroupe;
const workers: Worker<Answer, unknown>[] = [];

beforeAll(async () => {
  troupe = await RestartableTroupe.begin();
}, longMs);
afterAll(() => troupe?.stop(), longMs);
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
}, longMs);

async function working(options: Omit<WorkerOptions<Answer, unknown>, "url">): Promise<Worker<Answer, unknown>> {
  const worker = new Worker<Answer, unknown>({ url: troupe.base, heartbeatMs: 1_500, drainMs: 100, ...options });
  workers.push(worker);
  await worker.start();
  return worker;
}

const ended = async (id: string): Promise<Answer> => {
  let now: Answer;
  await until(
    async () => {
      now = await troupe.get(id);
      return ["completed", "failed", "cancelled", "timed_out"].includes(now.status);
    },
    longMs,
    `the end of ${id}`,
  );
  return now;
};

test(
  "the example does real work",
  async () => {
    const example = join(import.meta.dirname, "../../clients/typescript/examples/csv-summary.ts");
    const argv = ["--import", "tsx", example, troupe.base];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    expect(line).toMatch(/takes tasks/);
    const csv = 'city,people,motto\nBern,134.5,"a ""b"", c"\nBasel,171.5,\nBern,10,x\n';
    const good = await troupe.task({ task_type: "csv-summary", input: { csv } });
    const bad = await troupe.task({ task_type: "csv-summary", input: { csv: "a,b\n1\n" } });
    const { status, output, agent } = await ended(good);
    expect(status).toBe("completed");
    expect(output).toEqual({
      rows: 3,
      columns: [
        {
          name: "city",
          kind: "text",
          empty: 0,
          distinct: 2,
          frequent: [
            { value: "Bern", count: 2 },
            { value: "Basel", count: 1 },
          ],
        },
        { name: "people", kind: "number", empty: 0, distinct: 3, min: 10, max: 171.5, mean: 316 / 3 },
        {
          name: "motto",
          kind: "text",
          empty: 1,
          distinct: 2,
          frequent: [
            { value: 'a "b", c', count: 1 },
            { value: "x", count: 1 },
          ],
        },
      ],
    });
    expect(await ended(bad)).toMatchObject({ status: "failed", attempt: 1, error: { code: "bad_csv" } });
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
    await until(async () => (await troupe.call("GET", `/v1/agents/${agent}`)).body.status === "gone");
  },
  longMs,
);

test(
  "no more at once than `concurrency`; each task once; progress is seen",
  async () => {
    let now = 0;
    let most = 0;
    const done = new Map<string, number>();
    const release: (() => void)[] = [];
    await working({
      agentType: "counted",
      concurrency: 3,
      async run(task) {
        now++;
        most = Math.max(most, now);
        done.set(task.id, (done.get(task.id) ?? 0) + 1);
        await task.progress(0.5, { message: "half", details: { at: task.input } });
        if (release.length < 3) await new Promise<void>((resolve) => release.push(resolve));
        now--;
        return { square: task.input ** 2 };
      },
    });
    const ids = await Promise.all(
      Array.from({ length: 12 }, (_, i) => troupe.task({ task_type: "counted", input: i })),
    );
    await until(() => release.length === 3, longMs);
    const held = [...done.keys()][0] as string;
    expect(await troupe.get(held)).toMatchObject({ status: "running", progress: { fraction: 0.5, message: "half" } });
    for (const go of release) go();
    for (const [i, id] of ids.entries())
      expect(await ended(id)).toMatchObject({ status: "completed", output: { square: i * i } });
    expect(most).toBe(3);
    expect([...done.values()]).toEqual(ids.map(() => 1));
  },
  longMs,
);

test(
  "failures carry their code; one that may not be tried again is not; what is given back does not count",
  async () => {
    const seen: number[] = [];
    await working({
      agentType: "picky",
      run(task: Task<Answer>) {
        if (task.input === "never") throw new TaskFailure("no_such_thing", "never", { retryable: false, details: [1] });
        if (task.input === "once more" && task.attempt === 1) throw new Error("a hiccup");
        seen.push(task.attempt);
        if (task.input === "not me" && seen.filter((n) => n > 0).length === 1) throw new TaskRejected("not me");
        return "done";
      },
    });
    const never = await troupe.task({ task_type: "picky", input: "never" });
    expect(await ended(never)).toMatchObject({ status: "failed", attempt: 1, error: { code: "no_such_thing" } });
    const again = await troupe.task({ task_type: "picky", input: "once more", retry: { initial_ms: 10 } });
    expect(await ended(again)).toMatchObject({ status: "completed", attempt: 2, output: "done" });
    seen.length = 0;
    const back = await troupe.task({ task_type: "picky", input: "not me" });
    const view = await ended(back);
    expect(view).toMatchObject({ status: "completed", attempt: 2 });
    expect(view.attempts[0]).toMatchObject({ attempt: 1, result: "rejected" });
  },
  longMs,
);

test(
  "an output that cannot be reported fails the task and says why",
  async () => {
    await working({ agentType: "odd", run: () => ({ big: 1n }) });
    const id = await troupe.task({ task_type: "odd", input: null, retry: { max_attempts: 1 } });
    expect(await ended(id)).toMatchObject({ status: "failed", error: { code: "report_refused" } });
  },
  longMs,
);

test(
  "cancellation is noticed while the function runs, and the slot is free again",
  async () => {
    let reason: unknown;
    let started = 0;
    await working({
      agentType: "patient",
      async run({ signal }) {
        started++;
        if (started > 1) return "next";
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        reason = signal.reason;
        throw reason;
      },
    });
    const id = await troupe.task({ task_type: "patient", input: null });
    await until(async () => (await troupe.get(id)).status === "running", longMs);
    const begun = performance.now();
    await troupe.call("DELETE", `/v1/tasks/${id}`);
    await until(() => reason !== undefined, longMs, "the abort");
    // By the next heartbeat, a third of 1.5 s; with room for a busy machine.
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(reason).toMatchObject({ name: "TaskWithdrawn" });
    const next = await troupe.task({ task_type: "patient", input: null });
    expect(await ended(next)).toMatchObject({ status: "completed", output: "next" });
    expect(await troupe.get(id)).toMatchObject({ status: "cancelled" });
  },
  longMs,
);

test("the server killed in between: the worker goes on, and each task is done once", {
  timeout: 3 * longMs,
}, async () => {
  const runs = new Map<string, number>();
  const problems: string[] = [];
  let hold: (() => void) | undefined;
  await working({
    agentId: "survivor",
    agentType: "lasting",
    concurrency: 2,
    heartbeatMs: 20_000,
    async run(task) {
      runs.set(task.id, (runs.get(task.id) ?? 0) + 1);
      if (task.input === "through") await new Promise<void>((resolve) => (hold = resolve));
      return task.input;
    },
    onProblem: (error, doing) => problems.push(`${doing}: ${error}`),
  });
  const through = await troupe.task({ task_type: "lasting", input: "through" });
  await until(() => hold !== undefined, longMs, "the start");
  await troupe.kill();
  // The function ends while nobody is there to hear of it.
  hold?.();
  await until(() => problems.length > 0, longMs, "the outage to be noticed");
  await troupe.start();
  expect(await ended(through)).toMatchObject({ status: "completed", attempt: 1, output: "through", agent: "survivor" });
  const after = await Promise.all(Array.from({ length: 6 }, (_, i) => troupe.task({ task_type: "lasting", input: i })));
  for (const [i, id] of after.entries()) expect(await ended(id)).toMatchObject({ status: "completed", output: i });
  expect([...runs.values()]).toEqual(Array.from({ length: 7 }, () => 1));
});

test(
  "an agent that the server does not know any more registers again",
  async () => {
    const worker = await working({ agentId: "forgotten", agentType: "forgetful", run: () => "here" });
    await troupe.call("DELETE", "/v1/agents/forgotten");
    const id = await troupe.task({ task_type: "forgetful", input: null });
    expect(await ended(id)).toMatchObject({ status: "completed", agent: worker.agentId });
  },
  longMs,
);

test(
  "a worker that stops gives its task to another; the attempt does not count",
  async () => {
    const first = await working({
      agentType: "relay",
      async run({ signal }) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
    });
    const id = await troupe.task({ task_type: "relay", input: null, retry: { max_attempts: 1 } });
    await until(async () => (await troupe.get(id)).status === "running", longMs);
    await first.stop();
    await working({ agentType: "relay", run: () => "taken over" });
    expect(await ended(id)).toMatchObject({ status: "completed", attempt: 2, output: "taken over" });
  },
  longMs,
);
