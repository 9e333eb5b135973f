/** Every example of contract 002's text, and each step of how its clients use it, against the real server. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { Examples } from "./examples.ts";
import { type Sent, Transcript } from "./transcript.ts";

const examples = new Examples("002");
let troupe: Troupe;
let told: Transcript;
beforeAll(async () => {
  troupe = await startTroupe();
  told = new Transcript("002", troupe.base, {
    vary: ["trace_id", "span_id", "parent_span_id", "next_cursor", "agent"],
  });
}, 400_000);
afterAll(() => troupe?.stop());

/** Messages of an event stream, in order; `data` is one line of JSON. */
const messages = (text: unknown) =>
  String(text)
    .split("\n\n")
    .filter((block) => block.includes("\nevent:") || block.startsWith("event:"))
    .map((block) => {
      const lines = Object.fromEntries(
        block.split("\n").map((line) => [line.split(":")[0], line.replace(/^\w+: ?/, "")]),
      );
      return { id: lines.id, event: lines.event, data: JSON.parse(lines.data as string) };
    });

test("create a run, stream its events, poll it, read its schemas", { timeout: 240_000 }, async () => {
  const [create] = examples.curl("Local prototype 2") as [Sent];
  const made = await told.http("Local prototype 2", create);
  expect(made.status).toBe(201);
  const { run } = made.body;
  expect(run).toMatchObject(create.body as object);
  const [stream] = examples.curl("Local prototype 3", { run_id: run.run_id }) as [Sent];
  const streamed = await told.http("Local prototype 3", stream, messages);
  expect(streamed.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const types = messages(streamed.body).map(({ event }) => event);
  expect(types).toEqual(["run.started", "step.started", "step.completed", "run.completed"]);
  const polled = await told.http("poll the result", { path: `/v1/runs/${run.run_id}` });
  expect(polled.body).toMatchObject({ status: "succeeded", output: { hello: "world" } });
  const pages = await told.http("its events as pages", { path: `/v1/runs/${run.run_id}/events?limit=3` });
  expect(pages.body.data.map((one: { type: string }) => one.type)).toEqual(types.slice(0, 3));
  await told.http("discover schemas", { path: "/v1/workflows/echo/schemas" });

  const keyed = { ...create, headers: { ...create.headers, "idempotency-key": "run-1" } };
  const first = await told.http("with an idempotency key", keyed);
  const ended = await fetch(`${troupe.base}/v1/runs/${first.body.run.run_id}/events`, {
    headers: { accept: "text/event-stream" },
  });
  await ended.text();
  const again = await told.http("and again", keyed);
  expect(again.body.run.run_id).toBe(first.body.run.run_id);
  const other = { ...keyed, body: { ...(create.body as object), input: { hello: "moon" } } };
  expect((await told.http("another body under that key", other)).body.error.code).toBe("idempotency_conflict");
  told.check();
});

test("no example is left out", () => {
  examples.pass("Local prototype");
  expect(examples.left()).toEqual([]);
});
