/**
 * Load as clients make it: agents from outside (the worker SDK), tasks over HTTP, WebSocket subscribers.
 * Checks from outside that every task was done once and that no agent had more than its limit at once;
 * ends with 1 when not. Starts a Troupe of its own unless it is given one.
 *
 *   npm run load -- --agents 500 --tasks 1000 --websocket-connections 50
 */
import { Command } from "commander";
import WebSocket from "ws";
import { Api, Worker } from "../clients/typescript/src/index.ts";
import { startTroupe } from "../test/gateway/support/troupe.ts";

const count = (text: string): number => {
  if (!/^\d{1,7}$/.test(text)) throw new Error(`${text} is not a count`);
  return Number(text);
};
const options = new Command("load")
  .option("--agents <n>", "agents that take tasks", count, 100)
  .option("--tasks <n>", "tasks to be done", count, 1000)
  .option("--websocket-connections <n>", "subscribers to all ends of tasks", count, 10)
  .option("--max-concurrent-tasks <n>", "of each agent", count, 2)
  .option("--callers <n>", "requests at once that create tasks", count, 32)
  .option("--timeout <s>", "gives up after so many seconds", count, 600)
  .option("--url <url>", "a Troupe that runs (default: one is started)")
  .parse()
  .opts<{
    agents: number;
    tasks: number;
    websocketConnections: number;
    maxConcurrentTasks: number;
    callers: number;
    timeout: number;
    url?: string;
  }>();

const say = (line: string) => process.stdout.write(`${line}\n`);

function row(what: string, ms: number[]): string {
  ms.sort((a, b) => a - b);
  const at = (share: number) => (ms[Math.min(ms.length - 1, Math.ceil(share * ms.length) - 1)] ?? 0).toFixed(1);
  return `${what.padEnd(34)} ${String(ms.length).padStart(7)}  p50 ${at(0.5)}  p95 ${at(0.95)}  p99 ${at(0.99)}  max ${at(1)} ms`;
}

/** Runs `times` calls, `callers` at once; gives each one's time. */
async function timed(times: number, callers: number, call: (i: number) => Promise<unknown>): Promise<number[]> {
  const ms: number[] = [];
  let next = 0;
  const caller = async () => {
    for (let i = next++; i < times; i = next++) {
      const begun = performance.now();
      await call(i);
      ms.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: Math.min(callers, times) }, caller));
  return ms;
}

/** Subscribers that count the ends of tasks of this type. */
async function subscribe(url: string, type: string, n: number, ends: number[]): Promise<WebSocket[]> {
  const sockets: WebSocket[] = [];
  for (let i = 0; i < n; i++) {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/ws`);
    ends[i] = 0;
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.on("open", () => {
        const pattern = `event.*.task.${type}.*.completed`;
        socket.send(JSON.stringify({ type: "subscribe", id: "ends", pattern }));
      });
      socket.on("message", (data: Buffer) => {
        const { type: what } = JSON.parse(data.toString()) as { type: string };
        if (what === "subscribed") resolve();
        else if (what === "event") ends[i] = (ends[i] as number) + 1;
      });
    });
    sockets.push(socket);
  }
  return sockets;
}

async function load(url: string): Promise<string[]> {
  const { agents, tasks, websocketConnections, maxConcurrentTasks, callers, timeout } = options;
  const type = `load-${crypto.randomUUID().slice(0, 8)}`;
  const api = new Api(url);
  const ends: number[] = [];
  const sockets = await subscribe(url, type, websocketConnections, ends);
  const done = new Map<string, number>();
  const created = new Map<number, number>();
  const turnaround: number[] = [];
  const now = new Array<number>(agents).fill(0);
  const most = new Array<number>(agents).fill(0);
  const finished: { resolve(): void } = { resolve: () => {} };
  const all = new Promise<void>((resolve) => (finished.resolve = resolve));
  const workers = Array.from({ length: agents }, (_, i) => {
    return new Worker<number, number>({
      url,
      agentType: type,
      concurrency: maxConcurrentTasks,
      heartbeatMs: 120_000,
      async run(task) {
        now[i] = (now[i] as number) + 1;
        most[i] = Math.max(most[i] as number, now[i] as number);
        await Promise.resolve();
        done.set(task.id, (done.get(task.id) ?? 0) + 1);
        turnaround.push(performance.now() - (created.get(task.input) ?? performance.now()));
        now[i] = (now[i] as number) - 1;
        if (done.size === tasks) finished.resolve();
        return task.input * 2;
      },
    });
  });
  const registering = performance.now();
  say(row("register an agent", await timed(agents, callers, (i) => (workers[i] as Worker).start())));
  say(`  ${((agents * 1000) / (performance.now() - registering)).toFixed(0)} agents a second`);
  const begun = performance.now();
  const ids: string[] = [];
  const creating = await timed(tasks, callers, async (i) => {
    created.set(i, performance.now());
    const body = { task_type: type, input: i };
    const options = { body, idempotencyKey: `${type}-${i}` };
    ids[i] = (await api.persist<{ task: { task_id: string } }>("POST", "/v1/tasks", options)).task.task_id;
  });
  say(row("create a task", creating));
  const late = new Promise<void>((resolve) => setTimeout(resolve, timeout * 1000).unref());
  await Promise.race([all, late]);
  say(row("from its creation to its execution", turnaround));
  const wrong: string[] = [];
  // The server's word, not ours: completed, with the right output.
  const deadline = performance.now() + 60_000;
  for (const [i, id] of ids.entries()) {
    type Shown = { status: string; output: unknown };
    let shown = await api.persist<Shown>("GET", `/v1/tasks/${id}`);
    while (!["completed", "failed"].includes(shown.status) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      shown = await api.persist<Shown>("GET", `/v1/tasks/${id}`);
    }
    if (shown.status !== "completed" || shown.output !== i * 2) wrong.push(`${id} is ${shown.status}`);
    if (done.get(id) !== 1) wrong.push(`${id} was done ${done.get(id) ?? 0} times`);
  }
  const seconds = (performance.now() - begun) / 1000;
  say(
    `${tasks} tasks by ${agents} agents in ${seconds.toFixed(1)} s: ${(tasks / seconds).toFixed(0)} a second, checked one by one`,
  );
  const over = most.filter((n) => n > maxConcurrentTasks).length;
  if (over > 0) wrong.push(`${over} agents had more than ${maxConcurrentTasks} tasks at once`);
  const short = ends.filter((n) => n !== tasks).length;
  if (short > 0) wrong.push(`${short} subscribers did not hear of each end once`);
  say(`${websocketConnections} subscribers heard ${ends.reduce((a, b) => a + b, 0)} ends`);
  for (const socket of sockets) socket.terminate();
  await timed(agents, callers, (i) => (workers[i] as Worker).stop());
  return wrong;
}

const own = options.url === undefined ? await startTroupe() : undefined;
try {
  const wrong = await load(options.url ?? (own?.base as string));
  for (const line of wrong.slice(0, 20)) say(`WRONG: ${line}`);
  say(
    wrong.length === 0 ? "every task was done once; no agent was above its limit" : `${wrong.length} things are wrong`,
  );
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  await own?.stop();
}
