/** Contract 003's basic service over gRPC: runs as events in both forms, what is refused, and what it says of itself. */
import { EventType } from "@ag-ui/core";
import { EventSchemas } from "@ag-ui/core/schemas";
import { decode } from "@ag-ui/proto";
import { type ServiceError, status } from "@grpc/grpc-js";
import type protobuf from "protobufjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { all, any, detailsOf, eventOf, Inbox, type Message, protoRoot, type Stub, value } from "./support/client.ts";
import { type Grpc, registerWorkflows, startGrpc } from "./support/start.ts";

let grpc: Grpc;
let agui: Stub;
let eventType: protobuf.Type;
beforeAll(async () => {
  grpc = await startGrpc();
  await registerWorkflows(grpc.base);
  agui = grpc.stub("ag_ui.service.AGUIService");
  eventType = (await protoRoot(["ag_ui/events.proto"])).lookupType("ag_ui.Event");
});
afterAll(() => grpc.stop());

const refused = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(
    () => Promise.reject(new Error("it was not refused")),
    (error) => error,
  );

let count = 0;
const request = (content: string, more: object = {}) => {
  const thread_id = `thread-${++count}`;
  return { thread_id, run_id: "r1", agent: "echo", messages: [{ id: "m1", role: "user", content }], ...more };
};
const run = (of: object): Promise<Message[]> => all(agui.stream("RunAgent", of));

/** The typed event as @ag-ui/proto reads the bytes of the same message. */
function typed(response: Message): Message {
  const bytes = eventType.encode(eventType.fromObject(response.typed_event)).finish();
  return decode(bytes);
}

describe("RunAgent", () => {
  test("gives the run's events, as JSON and in their own types", async () => {
    const asked = request("Hello there, dear bees");
    const responses = await run(asked);
    const events = responses.map(eventOf);
    expect(events[0]).toMatchObject({ type: "RUN_STARTED", threadId: asked.thread_id, runId: "r1" });
    expect(events.at(-1)).toMatchObject({ type: "RUN_FINISHED", outcome: { type: "success" } });
    const text = events.filter(({ type }) => type === "TEXT_MESSAGE_CONTENT").map(({ delta }) => delta);
    expect(text.join("")).toBe("Hello there, dear bees");
    for (const [at, event] of events.entries()) {
      expect(EventSchemas.safeParse(event).error).toBeUndefined();
      expect(responses[at].event.type).toBe(event.type);
      const own = typed(responses[at]);
      expect(own.type).toBe(event.type);
      for (const field of ["threadId", "runId", "messageId", "delta", "role"]) {
        if (field in event) expect(own[field]).toBe(event[field]);
      }
    }
  });

  test("the same thread and run are the same run; the thread is the session of HTTP", async () => {
    const asked = request("once");
    const first = (await run(asked)).map(eventOf);
    const second = (await run(asked)).map(eventOf);
    expect(second.map(({ type }) => type)).toEqual(first.map(({ type }) => type));
    const session = (await (await fetch(`${grpc.base}/v1/sessions/${asked.thread_id}`)).json()) as Message;
    expect(session.message_count).toBe(2);
    expect(session.runs).toHaveLength(1);
  });

  test("a workflow's stages are steps; its checkpoint interrupts, a resume ends it", async () => {
    const input = { text: "# Bees\n\nBees fly. They are small." };
    const asked = request("Read it", { agent: "document-brief", forwarded_props: any({ input }) });
    const events = (await run(asked)).map(eventOf);
    expect(events.filter(({ type }) => type === "STEP_STARTED").length).toBeGreaterThan(2);
    const { outcome } = events.at(-1);
    expect(outcome.type).toBe("interrupt");
    const [interrupt] = outcome.interrupts;
    const resume = [{ interrupt_id: interrupt.id, status: "resolved", payload: value({ approved: true }) }];
    const rest = (await run({ ...asked, run_id: "r2", messages: [], resume })).map(eventOf);
    expect(rest[0]).toMatchObject({ type: "RUN_STARTED", runId: "r2" });
    expect(rest.at(-1)).toMatchObject({ type: "RUN_FINISHED", outcome: { type: "success" } });
    expect(rest.at(-1).result).toMatchObject({ title: "Bees" });
  });

  test("state goes in and comes back", async () => {
    const asked = request("x", { state: any({ list: [1, { a: null }] }) });
    await run(asked);
    const session = (await (await fetch(`${grpc.base}/v1/sessions/${asked.thread_id}`)).json()) as Message;
    expect(session.state).toEqual({ list: [1, { a: null }] });
  });

  test("a client that cancels cancels its run", async () => {
    const asked = request("wait:begin one wait:cancelled two", { agent: "gated-chat" });
    const inbox = new Inbox(agui.stream("RunAgent", asked));
    await inbox.next((response) => eventOf(response).type === "RUN_STARTED");
    grpc.gate.open("begin");
    await inbox.next((response) => eventOf(response).type === "TEXT_MESSAGE_CONTENT");
    inbox.cancel();
    expect((await inbox.end())?.code).toBe(status.CANCELLED);
    await ended(asked.thread_id, "canceled");
  });

  test("so does a deadline that passes", async () => {
    const asked = request("one wait:deadline two", { agent: "gated-chat" });
    const inbox = new Inbox(agui.stream("RunAgent", asked, { deadlineMs: 2_000 }));
    expect((await inbox.end())?.code).toBe(status.DEADLINE_EXCEEDED);
    await ended(asked.thread_id, "canceled");
  });

  test.each([
    ["no thread", { thread_id: "" }, status.INVALID_ARGUMENT],
    ["no run", { run_id: "" }, status.INVALID_ARGUMENT],
    ["a role that is none", { messages: [{ id: "1", role: "boss", content: "do it" }] }, status.INVALID_ARGUMENT],
    ["another type in an Any", { state: { type_url: "x/y.Z", value: Buffer.from([1]) } }, status.INVALID_ARGUMENT],
    [
      "an Any that is broken",
      { state: { type_url: "t/google.protobuf.Value", value: Buffer.from([0x1a, 0xff]) } },
      status.INVALID_ARGUMENT,
    ],
    ["an unknown agent", { agent: "nobody-here" }, status.NOT_FOUND],
    [
      "a resume of nothing",
      { resume: [{ interrupt_id: "run_x:y", status: "resolved", payload: null }] },
      status.FAILED_PRECONDITION,
    ],
  ])("%s is refused before any event", async (_, wrong, code) => {
    const error = await refused(run(request("x", wrong)));
    expect([error.code, error.details]).toEqual([code, expect.any(String)]);
    expect(detailsOf(error)).toMatchObject({ code, domain: "troupe" });
  });
});

async function ended(thread: string, wanted: string): Promise<void> {
  await until(
    async () => {
      const session = (await (await fetch(`${grpc.base}/v1/sessions/${thread}`)).json()) as Message;
      return session.runs?.at(-1)?.status === wanted;
    },
    60_000,
    `the run to be ${wanted}`,
  );
}

describe("ValidateInput", () => {
  test("a good input is valid, without a run", async () => {
    const asked = request("x");
    expect(await agui.call("ValidateInput", asked)).toEqual({ is_valid: true, errors: [], warnings: [] });
    expect((await fetch(`${grpc.base}/v1/sessions/${asked.thread_id}`)).status).toBe(404);
  });

  test("what is wrong is named with its place", async () => {
    const messages = [
      { id: "1", role: "user", content: "x" },
      { id: "2", role: "boss", content: "x" },
    ];
    const told = await agui.call("ValidateInput", request("x", { thread_id: "", messages, agent: "nobody" }));
    expect(told.is_valid).toBe(false);
    const fields = told.errors.map(({ field }: Message) => field);
    expect(fields).toEqual(expect.arrayContaining(["threadId", "agent"]));
    expect(fields.some((field: string) => field.startsWith("messages[1]"))).toBe(true);
    const empty = await agui.call("ValidateInput", request("x", { messages: [] }));
    expect(empty).toMatchObject({ is_valid: true, warnings: [expect.stringContaining("no message")] });
  });
});

test("it says what it is and what it can do", async () => {
  const info = await agui.call("GetServiceInfo", {});
  expect(info).toMatchObject({ service_name: "troupe", version: "test" });
  expect(info.supported_event_types).toEqual(Object.values(EventType));
  expect(info.supported_features).toEqual(expect.arrayContaining(["streaming", "sessions", "batches"]));
  const { supported_encodings, ...can } = info.capabilities;
  expect(Object.values(can)).toEqual([true, true, true, true, true]);
  expect(supported_encodings).toEqual(["application/grpc+proto"]);
});

test("its own health check", async () => {
  expect(await agui.call("HealthCheck", {})).toEqual({ status: "SERVING", message: "" });
  const advanced = await agui.call("HealthCheck", { service: "ag_ui.service.AGUIAdvancedService" });
  expect(advanced.status).toBe("SERVING");
  expect((await agui.call("HealthCheck", { service: "nothing" })).status).toBe("SERVICE_UNKNOWN");
});
