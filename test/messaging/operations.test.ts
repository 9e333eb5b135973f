/** Requests, callbacks, publications, subscriptions, conflicts and templates over HTTP, the real runtime and machines. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { address } from "../../src/machines/address.ts";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { type Reply, type Started, startOver } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

let real: Real;
let on: Started<Real["runtime"]>;
beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime);
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

let numbers = 0;
const fresh = (name: string) => `${name}-${++numbers}`;

async function agent(name = fresh("agent")): Promise<string> {
  const command = { type: "agent.register", agentType: "coder", name, capabilities: [], concurrency: 1 };
  await real.runtime.ask(address("agent", name), command);
  return name;
}

const post = (path: string, body: unknown, headers?: Record<string, string>) => on.send("POST", path, body, headers);
const ok = (reply: Reply) => {
  expect([reply.status, reply.text]).toEqual([expect.toBeOneOf([200, 201]), expect.any(String)]);
  return reply.body;
};

describe("a request that is waited for", () => {
  it("is answered with the response of its target", async () => {
    const target = await agent();
    const asked = post("/v1/requests", {
      target,
      request_type: "generate_code",
      data: { n: 1 },
      correlation_id: "w-1",
    });
    const pending = ok(await on.get(`/v1/agents/${target}/requests?wait_ms=5000`)).data;
    expect(pending).toMatchObject([{ status: "pending", target, source: "local", data: { n: 1 }, response: null }]);
    const id = pending[0].request_id;
    ok(await post(`/v1/requests/${id}/response`, { response_id: "resp-1", status: "success", data: { files: 3 } }));
    expect(ok(await asked)).toMatchObject({
      request_id: id,
      status: "responded",
      correlation_id: "w-1",
      response: { response_id: "resp-1", status: "success", data: { files: 3 }, errors: [], responded_by: target },
    });
    expect(ok(await on.get(`/v1/agents/${target}/requests`)).data).toEqual([]);
    // The same response again is fine, another is not.
    ok(await post(`/v1/requests/${id}/response`, { response_id: "resp-1", status: "success", data: { files: 3 } }));
    expect((await post(`/v1/requests/${id}/response`, { status: "error" })).status).toBe(409);
  });

  it("carries large data both ways", async () => {
    const target = await agent();
    const data = { text: "x".repeat(200_000) };
    const asked = post("/v1/requests", { target, request_type: "t", data });
    const [one] = ok(await on.get(`/v1/agents/${target}/requests?wait_ms=5000`)).data;
    expect(one.data).toEqual(data);
    await post(`/v1/requests/${one.request_id}/response`, { data });
    expect(ok(await asked).response.data).toEqual(data);
  });

  it("is refused when the target is unknown or away", async () => {
    const unknown = await post("/v1/requests", { target: "nobody", request_type: "t", data: null });
    expect([unknown.status, unknown.body.error]).toMatchObject([
      503,
      { code: "agent_unavailable", details: { agent_id: "nobody", last_seen: null, retry_after: 60 } },
    ]);
    const gone = await agent();
    await real.runtime.ask(address("agent", gone), { type: "agent.deregister" });
    const away = await post("/v1/requests", { target: gone, request_type: "t", data: null });
    expect([away.status, away.body.error.details.last_seen]).toEqual([503, expect.stringMatching(/^20.*Z$/)]);
  });

  it("ends when its time is over, and is not answered afterwards", async () => {
    const target = await agent();
    const request_id = fresh("req");
    const late = await post("/v1/requests", { request_id, target, request_type: "t", data: 1, timeout_ms: 200 });
    expect([late.status, late.body.error]).toMatchObject([504, { code: "timed_out", details: { request_id } }]);
    expect(ok(await on.get(`/v1/requests/${request_id}`)).status).toBe("timed_out");
    expect((await post(`/v1/requests/${request_id}/response`, { data: 1 })).status).toBe(409);
  });

  it("can be made without waiting, and taken back", async () => {
    const target = await agent();
    const made = ok(await post("/v1/requests", { target, request_type: "t", data: 1, wait: false }));
    expect(made.status).toBe("pending");
    expect(ok(await on.send("DELETE", `/v1/requests/${made.request_id}?reason=no`)).status).toBe("cancelled");
    expect((await post(`/v1/requests/${made.request_id}/response`, { data: 1 })).status).toBe(409);
  });

  it("is one for its idempotency key", async () => {
    const target = await agent();
    const key = { "idempotency-key": fresh("key") };
    const body = { target, request_type: "t", data: 1, wait: false };
    const [a, b] = [ok(await post("/v1/requests", body, key)), ok(await post("/v1/requests", body, key))];
    expect(a.request_id).toBe(b.request_id);
    expect((await post("/v1/requests", { ...body, data: 2 }, key)).status).toBe(409);
  });

  it("says what is wrong with it", async () => {
    const good = { target: await agent(), request_type: "t", data: 1 };
    for (const bad of [
      { target: 1 },
      { target: "" },
      { timeout_ms: 0 },
      { timeout_ms: 700_000 },
      { callback_url: "ftp://a.example/" },
      { callback_url: "/v1/other/1" },
      { callback_url: "/v1/callbacks/~x" },
      { callback_url: "/v1/callbacks/%FF" },
      { callback_url: "https://user:secret@a.example/" },
      { callback_url: "javascript:alert(1)" },
      { request_id: "a~b" },
      { request_id: "~" },
      { surplus: 1 },
    ])
      expect([bad, (await post("/v1/requests", { ...good, ...bad })).status]).toEqual([bad, 400]);
  });
});

/** A receiver that answers with the given statuses in turn, then 200. */
async function receiver(...statuses: number[]) {
  const calls: { headers: IncomingHttpHeaders; body: string; url: string }[] = [];
  const server: Server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => {
      body += part;
    });
    request.on("end", () => {
      calls.push({ headers: request.headers, body, url: request.url ?? "" });
      const status = statuses[calls.length - 1] ?? 200;
      response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end("thanks");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { calls, url: `http://127.0.0.1:${port}/hook?x=1`, port, close: () => server.close() };
}

async function respondTo(target: string, body: object): Promise<string> {
  const [one] = ok(await on.get(`/v1/agents/${target}/requests?wait_ms=5000`)).data;
  ok(await post(`/v1/requests/${one.request_id}/response`, body));
  return one.request_id;
}
const delivery = async (request: string) =>
  (await real.runtime.read(address("delivery", `${request}~callback`))).view as Record<string, unknown>;

describe("a callback", () => {
  it("is signed, and repeated until it is taken", async () => {
    const hook = await receiver(503, 302);
    const target = await agent();
    const made = ok(
      await post("/v1/requests", { target, request_type: "t", data: 1, callback_url: hook.url, correlation_id: "w" }),
    );
    expect(made).toMatchObject({ status: "pending", callback_url: hook.url });
    const id = await respondTo(target, { response_id: "resp-9", data: { done: true } });
    await until(async () => (await delivery(id)).status === "delivered", 30_000);
    expect(hook.calls.map(({ url }) => url)).toEqual(["/hook?x=1", "/hook?x=1", "/hook?x=1"]);
    const { secret } = ok(await on.get("/v1/callback-secret"));
    const verifier = new Webhook(secret);
    for (const call of hook.calls) {
      expect(call.headers["webhook-id"]).toBe(id);
      const told = verifier.verify(call.body, call.headers as Record<string, string>);
      expect(told).toEqual({
        id: "resp-9",
        request_id: id,
        correlation_id: "w",
        status: "success",
        data: { done: true },
        errors: [],
      });
      expect(() => verifier.verify(`${call.body} `, call.headers as Record<string, string>)).toThrow();
    }
    expect(await delivery(id)).toMatchObject({ attempt: 3, lastStatus: 200 });
    hook.close();
  });

  it("ends where the receiver says that it is gone for good", async () => {
    const hook = await receiver(410);
    const target = await agent();
    ok(await post("/v1/requests", { target, request_type: "t", data: 1, callback_url: hook.url }));
    const id = await respondTo(target, {});
    await until(async () => (await delivery(id)).status === "failed");
    expect(hook.calls).toHaveLength(1);
    hook.close();
  });

  it.each([
    "http://10.0.0.1/",
    "http://[::1]:9/",
    "http://169.254.169.254/latest",
    "http://[::ffff:10.0.0.1]/",
    "http://0x0a000001/",
  ])("never goes to %s", async (callback_url) => {
    const target = await agent();
    ok(await post("/v1/requests", { target, request_type: "t", data: 1, callback_url }));
    const id = await respondTo(target, {});
    await until(async () => (await delivery(id)).status === "failed");
    expect(await delivery(id)).toMatchObject({
      attempt: 1,
      lastStatus: null,
      lastError: expect.stringContaining("private"),
    });
  });

  it("goes to a mailbox of this API, also for an agent that is away, and when the time is over", async () => {
    const box = fresh("box");
    const callback_url = `/api/v1/callbacks/${box}`;
    const target = await agent();
    ok(await post("/v1/requests", { target, request_type: "t", data: 1, callback_url }));
    expect((await on.get(`/v1/callbacks/${box}`)).status).toBe(404);
    const id = await respondTo(target, { data: { a: 1 } });
    await until(async () => (await on.get(`/v1/callbacks/${box}`)).status === 200);
    expect(ok(await on.get(`/v1/callbacks/${box}`))).toMatchObject({
      callback_id: box,
      count: 1,
      data: { request_id: id, status: "success", data: { a: 1 } },
    });
    ok(await post("/v1/requests", { target: "nobody", request_type: "t", data: 1, callback_url, timeout_ms: 100 }));
    await until(async () => (await on.get(`/v1/callbacks/${box}`)).body.count === 2);
    expect(ok(await on.get(`/v1/callbacks/${box}`)).data).toMatchObject({ status: "timeout" });
    const key = { "idempotency-key": fresh("key") };
    for (let i = 0; i < 2; i++) ok(await post(`/v1/callbacks/${box}`, { by: "hand" }, key));
    expect(ok(await on.get(`/v1/callbacks/${box}`))).toMatchObject({ count: 3, data: { by: "hand" } });
  });
});

interface Fetched {
  data: { topic: string; event: string; data: Record<string, unknown>; message_id: string }[];
  cursor: string;
  gap: boolean;
}

async function opened(
  topics: string[],
  filters: object = {},
): Promise<{ id: string; fetch(query?: string): Promise<Fetched>; ack(cursor: string): Promise<void> }> {
  const subscription_id = fresh("sub");
  ok(await post("/v1/subscriptions", { subscription_id, topics, filters }));
  return {
    id: subscription_id,
    fetch: async (query = "") => ok(await on.get(`/v1/subscriptions/${subscription_id}/messages${query}`)),
    ack: async (cursor) => void ok(await post(`/v1/subscriptions/${subscription_id}/acknowledge`, { cursor })),
  };
}
const publish = async (topic: string, data: unknown, more: object = {}) =>
  ok(await post("/v1/publications", { topic, data, ...more }));

describe("publish and subscribe", () => {
  it("gives what was missed, in order, once acknowledged no more", async () => {
    const topic = `${fresh("orders")}.paid`;
    const sub = await opened([`${topic.split(".")[0]}.*`]);
    for (let n = 0; n < 5; n++) await publish(topic, { n });
    await publish(fresh("other"), { n: 9 });
    const first = await sub.fetch("?limit=3");
    expect(first.data.map((m) => m.data.n)).toEqual([0, 1, 2]);
    expect((await sub.fetch("?limit=3")).data).toEqual(first.data);
    await sub.ack(first.cursor);
    const second = await sub.fetch();
    expect(second.data.map((m) => m.data.n)).toEqual([3, 4]);
    expect(second.data[0]).toMatchObject({ topic, event: topic, source: "local" });
    await sub.ack(second.cursor);
    expect((await sub.fetch()).data).toEqual([]);
    const waiting = sub.fetch("?wait_ms=10000");
    await publish(topic, { n: 5 });
    expect((await waiting).data.map((m) => m.data.n)).toEqual([5]);
  });

  it("tells of tasks by their attributes, which their events do not repeat", async () => {
    const high = await opened(["task.*.completed"], { priority: ["high", "critical"], project_id: "p-1" });
    const all = await opened(["task.echo.*"], { project_id: ["p-1", "p-2"] });
    const task = (priority: number, project_id: string) =>
      post("/v1/tasks", { task_type: "echo", input: 1, priority, metadata: { project_id } });
    const made = [ok(await task(8, "p-1")), ok(await task(2, "p-1")), ok(await task(9, "p-2"))];
    const ids = made.map(({ task: t }) => t.task_id);
    await until(async () => (await all.fetch()).data.filter((m) => m.event === "task.completed").length === 3);
    expect((await high.fetch()).data).toMatchObject([
      { topic: "task.echo.completed", event: "task.completed", attributes: { task_id: ids[0], task_type: "echo" } },
    ]);
    const seen = (await all.fetch()).data.map((m) => m.topic);
    for (const word of ["created", "started", "completed"]) expect(seen).toContain(`task.echo.${word}`);
  });

  it("takes publications for a task's topics too, and large ones whole", async () => {
    const sub = await opened(["task.*.completed"], { project_id: "p-9" });
    const data = { project_id: "p-9", text: "x".repeat(150_000) };
    await publish("task.code_generation.completed", data);
    await publish("task.code_generation.completed", { small: true }, { attributes: { project_id: "p-9" } });
    await publish("task.code_generation.completed", { small: true }, { attributes: { project_id: "p-8" } });
    const { data: messages } = await sub.fetch();
    expect(messages.map((m) => m.data)).toEqual([data, { small: true }]);
  });

  it("publishes once for an idempotency key", async () => {
    const topic = fresh("topic");
    const sub = await opened([topic]);
    const key = { "idempotency-key": fresh("key") };
    const [a, b] = [1, 1].map((n) => post("/v1/publications", { topic, data: { n } }, key));
    expect(ok((await a) as Reply)).toEqual(ok((await b) as Reply));
    await publish(topic, { n: 2 });
    expect((await sub.fetch()).data.map((m) => m.data.n)).toEqual([1, 2]);
  });

  it("is the same subscription when the same is asked for, and none when it is closed", async () => {
    const body = { topics: [fresh("t"), "b.>"], filters: { a: 1 } };
    const a = ok(await post("/v1/subscriptions", body));
    expect(ok(await post("/v1/subscriptions", { ...body, topics: [...body.topics].reverse() })).subscription_id).toBe(
      a.subscription_id,
    );
    expect(
      ok(await on.get("/v1/subscriptions")).data.map((s: { subscription_id: string }) => s.subscription_id),
    ).toContain(a.subscription_id);
    ok(await on.send("DELETE", `/v1/subscriptions/${a.subscription_id}`));
    for (const path of ["", "/messages"])
      expect((await on.get(`/v1/subscriptions/${a.subscription_id}${path}`)).status).toBe(404);
  });

  it("says what is wrong", async () => {
    for (const bad of [
      { topics: [] },
      { topics: ["a..b"] },
      { topics: ["a.>.b"] },
      { topics: ["a b"] },
      { topics: "a" },
      { topics: ["a"], filters: { x: {} } },
      { topics: ["a"], since: "nonsense" },
      { topics: ["a"], subscription_id: "a~b" },
    ])
      expect([bad, (await post("/v1/subscriptions", bad)).status]).toEqual([bad, 400]);
    const sub = await opened(["a"]);
    await sub.fetch();
    expect((await post(`/v1/subscriptions/${sub.id}/acknowledge`, { cursor: "nonsense" })).status).toBe(400);
    for (const bad of [
      { topic: "a.*" },
      { topic: ">" },
      { topic: "a~b" },
      { topic: "a", attributes: { x: { y: 1 } } },
      { topic: "a", data: { $blob: { name: "x" } } },
    ])
      expect([bad, (await post("/v1/publications", { data: 1, ...bad })).status]).toEqual([bad, 400]);
  });
});

describe("conflicts", () => {
  const body = {
    agent_id: "agent-123",
    task_id: "task-456",
    conflict_type: "resource_contention",
    description: "GPU",
    severity: "high",
    metadata: { resource_id: "gpu-001" },
  };

  it("are reported, listed, resolved by hand, and told", async () => {
    const sub = await opened(["conflict.>"], { agent_id: "agent-123" });
    const made = ok(await post("/v1/conflicts", body));
    expect(made).toMatchObject({
      ...body,
      status: "open",
      reported_by: "local",
      tasks: ["task-456"],
      resolution: null,
    });
    const id = made.conflict_id;
    for (const query of ["severity=high", "status=open", "agent_id=agent-123", "conflict_type=resource_contention"]) {
      const found = ok(await on.get(`/v1/conflicts?${query}`)).data as { conflict_id: string }[];
      expect(found.map((c) => c.conflict_id)).toContain(id);
    }
    expect(ok(await on.get("/v1/conflicts?severity=low")).data).toEqual([]);
    const resolve = { strategy: "manual", winner: "task-456", note: "by hand" };
    expect(ok(await post(`/v1/conflicts/${id}/resolve`, resolve))).toMatchObject({
      status: "resolved",
      resolution: { strategy: "manual", winner: "task-456", note: "by hand", losers: [], resolved_by: "local" },
    });
    ok(await post(`/v1/conflicts/${id}/resolve`, resolve));
    expect((await post(`/v1/conflicts/${id}/resolve`, { winner: "agent-123" })).status).toBe(409);
    expect((await sub.fetch()).data.map((m) => m.topic)).toEqual(["conflict.reported", "conflict.resolved"]);
  });

  it("are resolved by priority: the lower task gives its attempt back, uncharged", async () => {
    const ids = [fresh("low"), fresh("high")];
    for (const [i, id] of ids.entries()) {
      const create = { type: "task.create", taskType: "nobody", input: 1, priority: i === 0 ? 2 : 9 };
      await real.runtime.ask(address("task", id), create);
      await real.runtime.ask(address("task", id), { type: "task.assign", attempt: 1, agent: `w-${i}` });
    }
    const made = ok(await post("/v1/conflicts", { ...body, task_id: ids[0], tasks: [ids[1]] }));
    const resolved = ok(await post(`/v1/conflicts/${made.conflict_id}/resolve`, { strategy: "priority" }));
    expect(resolved.resolution).toMatchObject({ winner: ids[1], losers: [ids[0]] });
    const view = async (id: string) => ok(await on.get(`/v1/tasks/${id}`));
    await until(async () => (await view(ids[0] as string)).attempt === 2);
    expect(await view(ids[0] as string)).toMatchObject({ status: "ready", attempts: [{ result: "lost" }] });
    expect(await view(ids[1] as string)).toMatchObject({ status: "assigned", attempt: 1 });
    for (const id of ids) await on.send("DELETE", `/v1/tasks/${id}`);
  });

  it("are found when a second agent updates a task: refused, and told once", async () => {
    const [mine, other] = [await agent(), await agent()];
    const id = fresh("task");
    await real.runtime.ask(address("task", id), {
      type: "task.create",
      taskType: "nobody",
      input: 1,
      assignedAgent: mine,
    });
    ok(await on.send("PATCH", `/v1/tasks/${id}`, { status: "running", agent_id: mine }));
    for (let i = 0; i < 2; i++)
      expect(
        (await on.send("PATCH", `/v1/tasks/${id}`, { status: "running", agent_id: other, progress: 0.5 })).status,
      ).toBe(403);
    const found = ok(await on.get(`/v1/conflicts?task_id=${id}`)).data;
    expect(found).toMatchObject([
      { conflict_type: "concurrent_update", agent_id: other, task_id: id, reported_by: "runtime", status: "open" },
    ]);
    await on.send("DELETE", `/v1/tasks/${id}`);
  });

  it("say what is wrong", async () => {
    const made = ok(await post("/v1/conflicts", body));
    for (const bad of [{ strategy: "dice" }, { strategy: "priority", winner: "x" }, { winner: "stranger" }])
      expect([bad, (await post(`/v1/conflicts/${made.conflict_id}/resolve`, bad)).status]).toEqual([bad, 400]);
    for (const id of ["none", "%00", "a~b", "'; DROP TABLE x"])
      expect((await post(`/v1/conflicts/${encodeURIComponent(id)}/resolve`, {})).status).toBe(404);
  });
});

describe("templates", () => {
  it("once any is registered, unknown ones and parameters off the schema are refused", async () => {
    const target = await agent();
    const ask = (data: object) => post("/v1/requests", { target, request_type: "t", data, wait: false });
    ok(await ask({ template_id: "express-api", parameters: { port: "x" } }));
    const parameters_schema = { type: "object", properties: { port: { type: "integer" } }, required: ["port"] };
    ok(await on.send("PUT", "/v1/templates/express-api", { parameters_schema }));
    expect(ok(await on.get("/v1/templates")).data).toMatchObject([{ template_id: "express-api", parameters_schema }]);
    ok(await ask({ template_id: "express-api", parameters: { port: 80 } }));
    ok(await ask({ no: "template" }));
    for (const bad of [
      { template_id: "unknown" },
      { template_id: "~" },
      { template_id: "express-api", parameters: { port: "x" } },
      { template_id: "express-api" },
    ]) {
      const reply = await ask(bad);
      expect([bad, reply.status, reply.body.error.code]).toEqual([bad, 400, "invalid_template"]);
    }
    for (const schema of [{ type: "nonsense" }, { $ref: "https://a.example/s" }, "x"])
      expect((await on.send("PUT", "/v1/templates/bad", { parameters_schema: schema })).status).toBe(400);
  });
});

describe("strangers", () => {
  const places: [string, (id: string) => string][] = [
    ["GET", (id) => `/v1/requests/${id}`],
    ["POST", (id) => `/v1/requests/${id}/response`],
    ["DELETE", (id) => `/v1/requests/${id}`],
    ["GET", (id) => `/v1/agents/${id}/requests`],
    ["GET", (id) => `/v1/callbacks/${id}`],
    ["POST", (id) => `/v1/callbacks/${id}`],
    ["GET", (id) => `/v1/subscriptions/${id}`],
    ["GET", (id) => `/v1/subscriptions/${id}/messages`],
    ["POST", (id) => `/v1/subscriptions/${id}/acknowledge`],
    ["GET", (id) => `/v1/conflicts/${id}`],
    ["POST", (id) => `/v1/conflicts/${id}/resolve`],
    ["PUT", (id) => `/v1/templates/${id}`],
    ["POST", () => "/v1/requests"],
    ["POST", () => "/v1/publications"],
    ["POST", () => "/v1/subscriptions"],
    ["POST", () => "/v1/conflicts"],
  ];
  const word = fc.oneof(
    fc.constantFrom(
      "..",
      "~",
      "a~b",
      "'; DROP TABLE agents; --",
      "%00",
      "\u0000",
      "__proto__",
      "constructor",
      "*",
      ">",
      "a.>",
      "\ud800",
      "x".repeat(5_000),
    ),
    fc.string({ unit: "binary", maxLength: 30 }),
  );
  const names = [
    "target",
    "source",
    "request_type",
    "data",
    "timeout_ms",
    "callback_url",
    "topic",
    "topics",
    "filters",
    "attributes",
    "since",
    "cursor",
    "agent_id",
    "task_id",
    "conflict_type",
    "winner",
    "strategy",
    "parameters_schema",
    "template_id",
    "__proto__",
    "wait",
  ];
  const value = fc.oneof(
    word,
    fc.jsonValue({ maxDepth: 4 }),
    fc.constant(Number.MAX_VALUE),
    fc.array(word, { maxLength: 3 }),
  );
  const body = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 6 });

  it("never see a fault of the server", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), word, body, async ([method, path], id, content) => {
        const encoded = encodeURIComponent(id.replace(/[\ud800-\udfff]/g, "?"));
        const payload = JSON.stringify({ wait: false, ...content });
        const reply = await on.send(
          method,
          path(encoded),
          method === "GET" || method === "DELETE" ? undefined : payload,
        );
        const expected =
          reply.status < 500 || (reply.status === 503 && reply.body?.error?.code === "agent_unavailable");
        expect([method, path(encoded), payload, reply.status, expected]).toEqual([
          method,
          path(encoded),
          payload,
          reply.status,
          true,
        ]);
      }),
      { numRuns: 400 },
    );
    expect(on.logs.filter(({ level }) => level === "error")).toEqual([]);
    expect(real.problems.filter(({ message }) => message.includes("dead letter") || message.includes("threw"))).toEqual(
      [],
    );
  });
});
