/** Starts runs and sees them end, in a process of its own: many at once, one after the other, and chains of stages. */
import { connect } from "node:net";
import { Connection, request } from "../connection.ts";
import { Events, rootOf } from "../events.ts";
import { serve } from "../process.ts";
import { type Percentiles, percentiles } from "../statistics.ts";

export interface ManyRuns {
  readonly port: number;
  readonly concurrency: number;
  readonly ms: number;
}

/** Ends after this long, or after so many runs. */
export interface SingleRuns {
  readonly port: number;
  readonly ms?: number;
  readonly count?: number;
}

export interface RunsDone {
  readonly perSecond: number;
  readonly latencyMs: Percentiles;
  readonly failed: Readonly<Record<number, number>>;
}

export interface Chain {
  /** From a stage's completion to the next one's start, in order, as a subscriber sees them. */
  readonly hopsMs: readonly number[];
  readonly wallMs: number;
}

export const handlers = { many, single, chain };
if (process.send !== undefined) serve(handlers);

const waitMsMax = 60_000;
/** A chain of ten thousand stages on a busy machine. */
const chainMsMax = 600_000;

function body(workflow: string, input: unknown = { hello: "world" }): string {
  return JSON.stringify({ workflow: { name: workflow }, input });
}

/** Each caller starts its next run when its last one has ended, as one WebSocket for all tells. */
async function many({ port, concurrency, ms }: ManyRuns): Promise<RunsDone> {
  const events = await Events.open(port);
  const ended = new Set<string>();
  const waiting = new Map<string, () => void>();
  const failed: Record<number, number> = {};
  const onEnd = (text: string): void => {
    const root = rootOf(text);
    const wake = waiting.get(root);
    if (wake === undefined) ended.add(root);
    else wake();
  };
  await events.subscribe("completed", "event.*.run.echo.*.completed", onEnd);
  await events.subscribe("failed", "event.*.run.echo.*.failed", (text) => {
    failed[500] = (failed[500] ?? 0) + 1;
    onEnd(text);
  });
  const connections = await Promise.all(Array.from({ length: concurrency }, () => Connection.open(port)));
  const bytes = request("POST", "/v1/runs", body("echo"));
  const latencies: number[] = [];
  const begin = performance.now();
  const caller = async (connection: Connection): Promise<void> => {
    for (let at = begin; at - begin < ms; at = performance.now()) {
      const { status, runId } = await startRun(connection, bytes);
      if (status !== 201) {
        failed[status] = (failed[status] ?? 0) + 1;
        if (status === 0) return;
        continue;
      }
      if (!ended.delete(runId)) await inTime(runId, (done) => waiting.set(runId, done));
      waiting.delete(runId);
      latencies.push(performance.now() - at);
    }
  };
  await Promise.all(connections.map(caller));
  const seconds = (performance.now() - begin) / 1000;
  for (const connection of connections) connection.close();
  events.close();
  return { perSecond: latencies.length / seconds, latencyMs: percentiles(latencies), failed };
}

/** One run at a time: from the POST until its stream of events says `run.completed`. */
async function single({ port, ms = 600_000, count = Number.POSITIVE_INFINITY }: SingleRuns): Promise<RunsDone> {
  const connection = await Connection.open(port);
  const bytes = request("POST", "/v1/runs", body("echo"));
  const latencies: number[] = [];
  const begin = performance.now();
  while (performance.now() - begin < ms && latencies.length < count) {
    const stream = await openStream(port);
    const at = performance.now();
    const { runId } = await startRun(connection, bytes);
    await stream.until(runId, "run.completed");
    latencies.push(performance.now() - at);
  }
  connection.close();
  const seconds = (performance.now() - begin) / 1000;
  return { perSecond: latencies.length / seconds, latencyMs: percentiles(latencies), failed: {} };
}

function startRun(connection: Connection, bytes: Buffer): Promise<{ status: number; runId: string }> {
  return new Promise((resolve) => {
    connection.send(bytes, (status, answer) => {
      const at = answer.indexOf('"run_id":"') + 10;
      resolve({ status, runId: answer.toString("latin1", at, answer.indexOf('"', at)) });
    });
  });
}

/** A socket that is connected already, for one event stream. */
async function openStream(port: number) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return {
    until(runId: string, type: string): Promise<void> {
      socket.write(
        `GET /v1/runs/${runId}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n`,
      );
      return inTime(runId, (done) => {
        let seen = "";
        socket.on("data", (chunk) => {
          seen += chunk.toString("latin1");
          if (!seen.includes(`event: ${type}`)) return;
          socket.destroy();
          done();
        });
      });
    },
  };
}

/** One run of a workflow whose stages follow each other. */
async function chain({ port, workflow, input }: { port: number; workflow: string; input?: unknown }): Promise<Chain> {
  const events = await Events.open(port);
  const hopsMs: number[] = [];
  let completedAt: number | undefined;
  await events.subscribe("tasks", "event.*.task.echo.>", (text) => {
    const name = /"name":"(\w+)"/.exec(text.slice(text.indexOf(rootName(text))))?.[1];
    if (name === "started" && completedAt !== undefined) hopsMs.push(performance.now() - completedAt);
    if (name === "started") completedAt = undefined;
    if (name === "completed") completedAt = performance.now();
  });
  const connection = await Connection.open(port);
  const begin = performance.now();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${workflow} did not end in time`)), chainMsMax);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    void Promise.all([
      events.subscribe("completed", `event.*.run.${workflow}.*.completed`, end),
      events.subscribe("failed", `event.*.run.${workflow}.*.failed`, (text) => reject(new Error(text))),
    ]).then(async () => {
      const { status } = await startRun(connection, request("POST", "/v1/runs", body(workflow, input)));
      if (status !== 201) reject(new Error(`POST /v1/runs: ${status}`));
    });
  });
  const wallMs = performance.now() - begin;
  events.close();
  connection.close();
  return { hopsMs, wallMs };
}

function rootName(text: string): string {
  return `"root":"${rootOf(text)}"`;
}

function inTime(what: string, wait: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} did not end in time`)), waitMsMax);
    wait(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
