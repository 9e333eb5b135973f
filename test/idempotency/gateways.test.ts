/** The same key at two gateways, at once, and after one of them was killed in the midst of it. Real processes. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Process, TestCluster } from "../cluster/harness.ts";
import { until } from "../support/until.ts";

let cluster: TestCluster;
let node: Process;
let one: Process;
let two: Process;

beforeAll(async () => {
  cluster = await TestCluster.create();
  node = await cluster.spawn("node");
  one = await cluster.spawn("gateway");
  two = await cluster.spawn("gateway");
  await Promise.all([node, one, two].map((p) => p.ready()));
}, 240_000);
afterAll(() => cluster?.dispose(), 60_000);

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly replayed: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly body: any;
}

async function send(at: Process, path: string, body: unknown, key?: string): Promise<Answer> {
  const answer = await fetch(at.base + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }) },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  const replayed = answer.headers.get("idempotency-replayed") === "true";
  return { status: answer.status, text, replayed, body: JSON.parse(text) };
}

test("many at once at two gateways: done once, all are answered alike", { timeout: 120_000 }, async () => {
  for (let round = 0; round < 10; round++) {
    const path = `/v1/callbacks/box-${round}`;
    const asked = Array.from({ length: 12 }, (_, i) =>
      send(i % 2 === 0 ? one : two, path, { round }, `round-${round}`),
    );
    const answers = await Promise.all(asked);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(200);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect((await two.json<{ count: number }>(path)).count).toBe(1);
  }
  expect((await send(two, "/v1/callbacks/box-1", { round: 2 }, "round-1")).body.error.code).toBe(
    "idempotency_conflict",
  );
});

test("a gateway killed in the midst: others wait, then do it again; what has its id from the key is there once", {
  timeout: 180_000,
}, async () => {
  await send(one, "/v1/agents", { agent_id: "asked", agent_type: "coder", liveness: false });
  const body = { target: "asked", request_type: "t", data: 1, timeout_ms: 120_000 };
  const lost = send(one, "/v1/requests", body, "killed").catch(() => undefined);
  const pending = () => two.json<{ data: { request_id: string }[] }>("/v1/agents/asked/requests");
  await until(async () => (await pending()).data.length === 1, 20_000);
  await one.end("SIGKILL");
  await lost;
  const meanwhile = await send(two, "/v1/requests", body, "killed");
  expect([meanwhile.status, meanwhile.body.error.code, meanwhile.body.error.retryable]).toEqual([
    409,
    "in_progress",
    true,
  ]);
  let answer = meanwhile;
  const again = until(async () => {
    answer = await send(two, "/v1/requests", body, "killed");
    return answer.status !== 409;
  }, 90_000);
  const waiting = (await pending()).data;
  expect(waiting).toHaveLength(1);
  // Answered only when the second gateway waits for it.
  const id = waiting[0]?.request_id as string;
  await send(two, `/v1/requests/${id}/response`, { data: { files: 3 } }, "response");
  await again;
  expect(answer).toMatchObject({ status: 200, body: { request_id: id, response: { data: { files: 3 } } } });
  expect(await send(two, "/v1/requests", body, "killed")).toEqual({ ...answer, replayed: true });
});
