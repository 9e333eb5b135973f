/** Contract 003's sessions, state and tools over gRPC, each method and its errors, against the real runtime. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { all, any, detailsOf, fromAny, Inbox, json, type Message, type Stub, value } from "./support/client.ts";
import { type Grpc, startGrpc } from "./support/start.ts";

let grpc: Grpc;
let service: Stub;
beforeAll(async () => {
  grpc = await startGrpc();
  service = grpc.stub("ag_ui.service.AGUIAdvancedService");
});
afterAll(() => grpc.stop());

const refused = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(
    () => Promise.reject(new Error("it was not refused")),
    (error) => error,
  );
let count = 0;
async function session(more: object = {}): Promise<string> {
  const session_id = `session-${++count}`;
  const made = await service.call("CreateSession", { session_id, ...more });
  expect(made).toMatchObject({ session_id, success: true });
  return session_id;
}
const inSeconds = (s: number) => ({ seconds: Math.floor(Date.now() / 1000) + s, nanos: 0 });

describe("sessions", () => {
  test("are created, read, and ended", async () => {
    const made = await service.call("CreateSession", {
      initial_state: any({ a: 1 }),
      tools: [{ name: "pick", description: "Pick one.", parameters: value({ type: "object" }) }],
      context: [{ description: "who", value: "a bee" }],
    });
    expect(made).toMatchObject({ success: true, error_message: "" });
    expect(made.session_id).toMatch(/^ses_/);
    const { session_id } = made;
    const read = await service.call("GetSession", { session_id });
    expect(read.exists).toBe(true);
    expect(read.session_info).toMatchObject({ session_id, message_count: 0, status: "IDLE", expires_at: null });
    expect(read.session_info.created_at.seconds).toBe(made.created_at.seconds);
    const overHttp = (await (await fetch(`${grpc.base}/v1/sessions/${session_id}`)).json()) as Message;
    expect(overHttp).toMatchObject({
      state: { a: 1 },
      tools: [{ name: "pick", parameters: { type: "object" } }],
      context: [{ description: "who", value: "a bee" }],
    });
    expect(await service.call("EndSession", { session_id, save_state: true })).toMatchObject({ success: true });
    expect((await service.call("GetSession", { session_id })).session_info.status).toBe("TERMINATED");
    expect(fromAny((await service.call("GetState", { session_id })).state)).toEqual({ a: 1 });
    const late = await refused(service.call("UpdateState", { session_id, state_delta: any({ b: 2 }) }));
    expect(late.code).toBe(status.FAILED_PRECONDITION);
    expect((await service.call("EndSession", { session_id })).success).toBe(true);
  });

  test("one that is there is told in the answer, one that is not does not exist", async () => {
    const session_id = await session();
    const again = await service.call("CreateSession", { session_id });
    expect(again).toMatchObject({ session_id, success: false, created_at: null });
    expect(again.error_message).toContain("exists");
    expect(await service.call("GetSession", { session_id: "none" })).toEqual({
      session_id: "none",
      session_info: null,
      exists: false,
    });
  });

  test("expire, and drop their state unless it is to be saved", async () => {
    const expires_at = inSeconds(2);
    const saved = await session({ initial_state: any({ k: 1 }), options: { expires_at, auto_save_state: true } });
    const dropped = await session({ initial_state: any({ k: 1 }), options: { expires_at } });
    const info = (await service.call("GetSession", { session_id: saved })).session_info;
    expect(info.expires_at.seconds).toBe(expires_at.seconds);
    const changes = await all(service.stream("WatchState", { session_id: dropped }));
    for (const session_id of [saved, dropped]) {
      await until(async () => (await service.call("GetSession", { session_id })).session_info.status === "EXPIRED");
    }
    expect(changes.length).toBeGreaterThan(0);
    expect(fromAny((await service.call("GetState", { session_id: saved })).state)).toEqual({ k: 1 });
    expect(fromAny((await service.call("GetState", { session_id: dropped })).state)).toBeNull();
  });
});

describe("state", () => {
  test("is replaced or merged, and read whole or by keys", async () => {
    const session_id = await session();
    const first = await service.call("UpdateState", { session_id, state_delta: any({ a: 1, b: { c: 2 } }) });
    expect(first.success).toBe(true);
    expect(fromAny(first.new_state)).toEqual({ a: 1, b: { c: 2 } });
    const merged = await service.call("UpdateState", {
      session_id,
      state_delta: any({ a: null, d: [4] }),
      merge: true,
    });
    expect(fromAny(merged.new_state)).toEqual({ b: { c: 2 }, d: [4] });
    const some = await service.call("GetState", { session_id, keys: ["d", "none"] });
    expect(fromAny(some.state)).toEqual({ d: [4] });
    expect(some.last_modified).toEqual(merged.timestamp);
    const replaced = await service.call("UpdateState", { session_id, state_delta: any("text") });
    expect(fromAny(replaced.new_state)).toBe("text");
  });

  test("is watched as JSON Patches, to the session's end", async () => {
    const session_id = await session({ initial_state: any({ n: 1, other: "x" }) });
    const whole = new Inbox(service.stream("WatchState", { session_id }));
    const part = new Inbox(service.stream("WatchState", { session_id, watch_keys: ["n"] }));
    const start = (await whole.next()).changes;
    expect(start).toMatchObject([{ op: "REPLACE", path: "" }]);
    expect(json(start[0].value)).toEqual({ n: 1, other: "x" });
    expect(json((await part.next()).changes[0].value)).toEqual({ n: 1 });
    await service.call("UpdateState", { session_id, state_delta: any({ other: "y", more: [1] }), merge: true });
    const changed = await whole.next();
    expect(changed.timestamp.seconds).toBeGreaterThan(0);
    const patches = changed.changes.map(({ op, path, value: to }: Message) => [op, path, json(to)]);
    expect(patches).toHaveLength(2);
    expect(patches).toEqual(
      expect.arrayContaining([
        ["REPLACE", "/other", "y"],
        ["ADD", "/more", [1]],
      ]),
    );
    await service.call("UpdateState", { session_id, state_delta: any({ n: null }), merge: true });
    expect((await whole.next()).changes).toMatchObject([{ op: "REMOVE", path: "/n" }]);
    // Only its own key was told to the other watcher.
    expect((await part.next()).changes).toMatchObject([{ op: "REMOVE", path: "/n" }]);
    await service.call("EndSession", { session_id, save_state: true });
    expect(await whole.end()).toBeNull();
    expect(await part.end()).toBeNull();
  });
});

describe("tools", () => {
  const tool = (name: string, description = "") => ({ name, description, parameters: value({ type: "object" }) });

  test("are registered; known names are refused or replaced", async () => {
    const session_id = await session();
    const first = await service.call("RegisterTools", { session_id, tools: [tool("a"), tool("b")] });
    expect(first).toEqual({ success: true, registered_tool_names: ["a", "b"], errors: [] });
    const second = await service.call("RegisterTools", { session_id, tools: [tool("b", "new"), tool("c"), tool("")] });
    expect(second).toMatchObject({ success: false, registered_tool_names: ["c"] });
    expect(second.errors.map(({ tool_name }: Message) => tool_name)).toEqual(["b", ""]);
    const third = { session_id, tools: [tool("b", "new")], replace_existing: true };
    expect(await service.call("RegisterTools", third)).toMatchObject({ success: true, registered_tool_names: ["b"] });
    const overHttp = (await (await fetch(`${grpc.base}/v1/sessions/${session_id}`)).json()) as Message;
    expect(overHttp.tools.map(({ name, description }: Message) => [name, description])).toEqual([
      ["a", ""],
      ["b", "new"],
      ["c", ""],
    ]);
  });

  test("a repeat with the same key is answered as the first", async () => {
    const session_id = await session();
    const metadata = { "idempotency-key": `tools-${session_id}` };
    const request = { session_id, tools: [tool("a")] };
    const first = await service.call("RegisterTools", request, { metadata });
    expect(first).toMatchObject({ success: true, registered_tool_names: ["a"] });
    expect(await service.call("RegisterTools", request, { metadata })).toEqual(first);
    expect((await service.call("RegisterTools", request)).success).toBe(false);
  });

  test("a node's tool is executed", async () => {
    const tool_call = { id: "c1", type: "function", function: { name: "add", arguments: '{"a":2,"b":3}' } };
    expect(await service.call("ExecuteTool", { tool_call })).toEqual({
      tool_call_id: "c1",
      result: '{"sum":5}',
      success: true,
      error_message: "",
    });
  });

  test("one that fails, or is not there, says so", async () => {
    const call = (name: string) => ({ tool_call: { id: `c-${name}`, function: { name, arguments: "" } } });
    const failed = await service.call("ExecuteTool", call("fail"));
    expect(failed).toMatchObject({ tool_call_id: "c-fail", result: "", success: false });
    expect(failed.error_message).toContain("it is broken");
    const unknown = await service.call("ExecuteTool", call("unheard-of"));
    expect(unknown).toMatchObject({ success: false, error_message: expect.stringContaining("unheard-of") });
    expect((await refused(service.call("ExecuteTool", {}))).code).toBe(status.INVALID_ARGUMENT);
  });

  test("a front end's tool waits for whoever does its task; the same call is one task", {
    timeout: 150_000,
  }, async () => {
    const session_id = await session({ tools: [tool("pick")] });
    const request = { session_id, tool_call: { id: "c9", function: { name: "pick", arguments: '{"of":[1,2]}' } } };
    const short = await refused(service.call("ExecuteTool", request, { deadlineMs: 1_500 }));
    expect(short.code).toBe(status.DEADLINE_EXCEEDED);
    const answer = service.call("ExecuteTool", request);
    const waiting = async (): Promise<Message[]> => {
      const list = (await (await fetch(`${grpc.base}/v1/tasks?task_type=frontend_tool`)).json()) as Message;
      return list.data.filter(({ input }: Message) => input.sessionId === session_id);
    };
    await until(async () => (await waiting()).length > 0);
    const tasks = await waiting();
    expect(tasks.map(({ input }) => input)).toMatchObject([{ name: "pick", arguments: '{"of":[1,2]}' }]);
    const done = await fetch(`${grpc.base}/v1/tasks/${tasks[0].task_id}`, {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ status: "completed", output: { content: "two" } }),
    });
    expect(done.status).toBe(200);
    expect(await answer).toEqual({ tool_call_id: "c9", result: "two", success: true, error_message: "" });
  });
});

test.each([
  ["GetState", {}, status.NOT_FOUND],
  ["UpdateState", { state_delta: any(1) }, status.NOT_FOUND],
  ["EndSession", {}, status.NOT_FOUND],
  ["RegisterTools", { tools: [] }, status.NOT_FOUND],
  ["ExecuteTool", { tool_call: { id: "c", function: { name: "x", arguments: "" } } }, status.NOT_FOUND],
])("%s of an unknown session is refused", async (method, request, code) => {
  const error = await refused(service.call(method, { session_id: "none", ...request }));
  expect(error.code).toBe(code);
  expect(detailsOf(error)).toMatchObject({ code, reason: "NOT_FOUND" });
});

test("what is missing or broken is refused", async () => {
  const session_id = await session();
  expect((await refused(service.call("UpdateState", { session_id }))).code).toBe(status.INVALID_ARGUMENT);
  const huge = any({ x: "x".repeat(400_000) });
  expect((await refused(service.call("UpdateState", { session_id, state_delta: huge }))).code).toBe(
    status.RESOURCE_EXHAUSTED,
  );
  expect((await refused(all(service.stream("WatchState", { session_id: "none" })))).code).toBe(status.NOT_FOUND);
  expect((await refused(service.call("GetSession", {}))).code).toBe(status.INVALID_ARGUMENT);
});
