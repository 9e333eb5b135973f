/**
 * What is measured, over the real runtime: `/metrics` as a scraper reads it, health and figures as
 * clients read them. Whether Prometheus itself likes it is test/monitoring's affair.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { until } from "../support/until.ts";
import { type Real, startReal, workflows } from "./support/real-runtime.ts";
import { type Started, start, startOver } from "./support/start.ts";

let real: Real;
let on: Started<Real["runtime"]>;

beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime);
});

afterAll(async () => {
  await on.gateway.close(1000);
  await real.stop();
});

/** Samples by their whole name with labels, and the type of each metric. */
async function scrape(): Promise<{ samples: Map<string, number>; types: Map<string, string> }> {
  const { status, headers, text } = await on.get("/metrics");
  expect(status).toBe(200);
  expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of text.split("\n")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1] as string, type[2] as string);
    if (line === "" || line.startsWith("#")) continue;
    const sample = /^([a-z_0-9]+(?:\{.*\})?) (\S+)$/.exec(line);
    expect(sample, line).not.toBe(null);
    samples.set(sample?.[1] as string, Number(sample?.[2]));
  }
  return { samples, types };
}

async function echo(input: unknown): Promise<string> {
  const made = await on.send("POST", "/v1/tasks", { task_type: "echo", input });
  const id = made.body.task.task_id as string;
  await until(async () => (await on.get(`/v1/tasks/${id}`)).body.status === "completed", 10_000, "the echo");
  return id;
}

describe("/metrics", () => {
  test("has the names of contract 004 with their labels", async () => {
    await on.get("/healthz");
    const { samples, types } = await scrape();
    expect(types.get("http_requests_total")).toBe("counter");
    expect(types.get("http_request_duration_seconds")).toBe("histogram");
    expect(samples.get('http_requests_total{method="GET",path="/healthz",status="200"}')).toBeGreaterThan(0);
    expect(samples.get('http_request_duration_seconds_count{method="GET",path="/healthz"}')).toBeGreaterThan(0);
    for (const name of [
      "agent_platform_active_agents_total",
      "agent_platform_active_tasks_total",
      "websocket_connections_total",
    ]) {
      expect(samples.get(name), name).toBeTypeOf("number");
    }
  });

  test("counts each answer once, by path template and status", async () => {
    const before = (await scrape()).samples;
    await on.get("/v1/tasks/nobody-1");
    await on.get("/v1/tasks/nobody-2");
    await on.send("POST", "/v1/tasks", { task_type: "echo", input: {} });
    const after = (await scrape()).samples;
    const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    expect(grown('http_requests_total{method="GET",path="/v1/tasks/{task_id}",status="404"}')).toBe(2);
    expect(grown('http_requests_total{method="POST",path="/v1/tasks",status="201"}')).toBe(1);
    expect(grown('http_requests_total{method="GET",path="/metrics",status="200"}')).toBe(1);
  });

  test("buckets grow up to the count", async () => {
    const { samples } = await scrape();
    const buckets = [...samples].filter(([name]) => name.startsWith("troupe_commit_duration_seconds_bucket"));
    expect(buckets.length).toBeGreaterThan(10);
    for (let i = 1; i < buckets.length; i++) expect(buckets[i]?.[1]).toBeGreaterThanOrEqual(buckets[i - 1]?.[1] ?? 0);
    expect(buckets.at(-1)).toEqual([
      'troupe_commit_duration_seconds_bucket{le="+Inf"}',
      samples.get("troupe_commit_duration_seconds_count"),
    ]);
  });

  test("steps, commits and take-overs are counted; a commit holds at least one step", async () => {
    const before = (await scrape()).samples;
    await echo({ n: 1 });
    const { samples } = await scrape();
    const steps = (samples.get("troupe_steps_total") ?? 0) - (before.get("troupe_steps_total") ?? 0);
    const commits = (samples.get("troupe_commits_total") ?? 0) - (before.get("troupe_commits_total") ?? 0);
    expect(steps).toBeGreaterThanOrEqual(2);
    expect(commits).toBeGreaterThanOrEqual(1);
    expect(samples.get("troupe_takeovers_total")).toBe(4);
    expect([...samples.keys()].filter((name) => name.startsWith("troupe_partition_serving"))).toHaveLength(4);
  });

  test("a client cannot make labels of its own: neither by paths, methods nor statuses", async () => {
    const before = (await scrape()).samples.size;
    for (let i = 0; i < 50; i++) await on.get(`/no/such/${i}"\\\n`);
    // The native server closes on a method that it does not know.
    for (const method of ["PROPFIND", "BREW"]) await on.send(method, "/v1/tasks").catch(() => undefined);
    const { samples } = await scrape();
    expect(samples.get('http_requests_total{method="GET",path="unknown",status="404"}')).toBeGreaterThanOrEqual(50);
    // Three series of answers at most, each with its buckets.
    expect(samples.size - before).toBeLessThanOrEqual(3 * 20);
  });

  test("WebSocket clients and event streams are counted while they are connected", async () => {
    for (const workflow of workflows) await on.send("PUT", `/v1/workflows/${workflow.name}`, workflow);
    const socket = new WebSocket(`${on.base.replace("http", "ws")}/v1/ws`);
    await new Promise((resolve) => socket.once("open", resolve));
    const input = { title: "Note", text: "# Note\nHello there. This is a text." };
    // Waits for a person.
    const run = (await on.send("POST", "/v1/runs", { workflow: { name: "document-brief" }, input })).body.run;
    const leave = new AbortController();
    const stream = await fetch(`${on.base}/v1/runs/${run.run_id}/events`, {
      headers: { accept: "text/event-stream" },
      signal: leave.signal,
    });
    expect(stream.headers.get("content-type")).toContain("text/event-stream");
    const { samples } = await scrape();
    expect(samples.get("websocket_connections_total")).toBe(1);
    expect(samples.get('troupe_websocket_clients{endpoint="/v1/ws"}')).toBe(1);
    expect(samples.get("troupe_sse_clients")).toBe(1);
    // Counted when it begins, once, also after its end.
    const answered = 'http_requests_total{method="GET",path="/v1/runs/{run_id}/events",status="200"}';
    expect(samples.get(answered)).toBe(1);
    socket.close();
    leave.abort();
    await until(async () => {
      const { samples: now } = await scrape();
      return now.get("websocket_connections_total") === 0 && now.get("troupe_sse_clients") === 0;
    });
    expect((await scrape()).samples.get(answered)).toBe(1);
  });
});

describe("health", () => {
  test("says what each part is, and what is going on", async () => {
    const { body } = await on.get("/v1/health");
    expect(body).toMatchObject({
      status: "healthy",
      components: { platform: { state: "healthy" }, nats: { state: "healthy" }, jetstream: { state: "healthy" } },
      metrics: { active_agents: expect.any(Number), active_tasks: expect.any(Number), active_connections: 0 },
    });
  });

  test("without NATS it is unhealthy, still answers 200, and `/metrics` leaves out what cannot be known", async () => {
    const off = await start();
    off.runtime.ready = false;
    off.runtime.tally = () => Promise.reject(new Error("away"));
    const { status, body } = await off.get("/v1/health");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: "unhealthy",
      components: { nats: { state: "unhealthy" } },
      metrics: { active_agents: null, active_tasks: null },
    });
    const { text } = await off.get("/metrics");
    expect(text).not.toMatch(/^agent_platform_active_agents_total/m);
    expect(text).toMatch(/^http_requests_total\{/m);
    await off.gateway.close(100);
  });
});

describe("figures", () => {
  test("ended tasks by agent, from the indexes, up to a second old", async () => {
    const before = (await on.get("/v1/metrics")).body;
    await echo({ n: 2 });
    let now = before;
    await until(async () => {
      now = (await on.get("/v1/metrics")).body;
      return (now.tasks.completed ?? 0) > (before.tasks.completed ?? 0);
    });
    expect(now.answers.requests).toBeGreaterThan(0);
    expect(now.answers.p50_ms).toBeLessThanOrEqual(now.answers.p99_ms);
    const all = Object.entries<Record<string, number>>(now.agent_figures);
    const [, figures] = all.find(([agent]) => /echo/.test(agent)) ?? [];
    expect(figures).toMatchObject({ tasks_failed: 0, success_rate: 1, average_execution_ms: expect.any(Number) });
  });

  test("of a range of time; bad ranges and unknown agents are refused", async () => {
    const { body } = await on.get("/v1/metrics/performance?time_range=5m");
    expect(body.tasks_completed).toBeGreaterThan(0);
    expect(body.tasks_per_minute).toBeCloseTo(
      (body.tasks_completed + body.tasks_failed + body.tasks_cancelled) / 5,
      10,
    );
    expect((await on.get("/v1/metrics/performance?agent_id=nobody")).status).toBe(404);
    for (const bad of ["8d", "0m", "1w", "-1h", "constructor"]) {
      expect((await on.get(`/v1/metrics/performance?time_range=${bad}`)).status, bad).toBe(400);
    }
  });
});
