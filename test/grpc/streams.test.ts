/** Contract 003's streams over gRPC: chat with its controls, questions to humans, batches. Against the real runtime. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { all, any, eventOf, Inbox, type Message, type Stub } from "./support/client.ts";
import { type Grpc, registerWorkflows, startGrpc } from "./support/start.ts";

let grpc: Grpc;
let service: Stub;
beforeAll(async () => {
  grpc = await startGrpc();
  await registerWorkflows(grpc.base);
  service = grpc.stub("ag_ui.service.AGUIAdvancedService");
});
afterAll(() => grpc.stop());

const http = async (path: string): Promise<Message> => (await fetch(grpc.base + path)).json();
/** The event inside of an answer that has one. */
const inside = ({ event }: Message): Message => eventOf(event);
let count = 0;

class Chat {
  readonly stream = service.duplex("StreamingChat");
  readonly inbox = new Inbox(this.stream);
  id = "";

  async begin(agent: string, more: object = {}): Promise<this> {
    this.stream.write({ init: { session_id: `chat-${++count}`, agent, ...more } });
    const { init } = await this.inbox.next(({ init: told }) => told !== undefined);
    expect(init).toMatchObject({ success: true, error_message: "" });
    this.id = init.chat_id;
    return this;
  }
  say(content: string, id = ""): void {
    this.stream.write({ message: { chat_id: this.id, message: { id, role: "user", content } } });
  }
  /** A message of which the first words are told and the rest waits; `then` is said right behind. */
  async sayHalf(gate: string, then?: string): Promise<void> {
    this.say(`wait:begin-${gate} one wait:${gate} two`);
    if (then !== undefined) this.say(then);
    await this.event("RUN_STARTED");
    grpc.gate.open(`begin-${gate}`);
    await this.event("TEXT_MESSAGE_CONTENT");
  }
  control(action: string): void {
    this.stream.write({ control: { chat_id: this.id, action } });
  }
  async event(type: string): Promise<Message> {
    return inside(await this.inbox.next(({ event }) => event && event.event.type === type));
  }
  async status(wanted: string): Promise<Message> {
    return (await this.inbox.next(({ status: told }) => told?.status === wanted)).status;
  }
  text(): string {
    const events = this.inbox.seen.filter(({ event }) => event).map(inside);
    return events.map(({ type, delta }) => (type === "TEXT_MESSAGE_CONTENT" ? delta : "")).join("");
  }
}

describe("StreamingChat", () => {
  test("answers messages one after the other, in one session", async () => {
    const chat = await new Chat().begin("echo", { initial_state: any({ a: 1 }) });
    chat.say("one");
    chat.say("two");
    chat.stream.end();
    expect(await chat.inbox.end()).toBeNull();
    const told = chat.inbox.seen.flatMap(({ event, status: now }) =>
      event ? [event.event.type] : now ? [now.status] : [],
    );
    expect(told.filter((one) => ["RUN_STARTED", "RUN_FINISHED", "FINISHED"].includes(one))).toEqual([
      "RUN_STARTED",
      "RUN_FINISHED",
      "FINISHED",
      "RUN_STARTED",
      "RUN_FINISHED",
      "FINISHED",
    ]);
    expect(chat.text()).toBe("onetwo");
    expect(await http(`/v1/sessions/${chat.id}`)).toMatchObject({ message_count: 4, state: { a: 1 } });
  });

  test("a pause holds events back and loses none; a resume lets them go", async () => {
    const chat = await new Chat().begin("gated-chat");
    await chat.sayHalf("pause");
    chat.control("PAUSE");
    await chat.status("PAUSED");
    const before = chat.inbox.seen.length;
    grpc.gate.open("pause");
    await until(async () => (await http(`/v1/sessions/${chat.id}`)).runs[0].status === "succeeded", 60_000);
    expect(chat.inbox.seen).toHaveLength(before);
    chat.control("RESUME");
    await chat.status("FINISHED");
    expect(chat.text()).toBe("wait:begin-pause one wait:pause two");
    chat.stream.end();
    expect(await chat.inbox.end()).toBeNull();
  });

  test("a cancel stops the run and drops what waits; the chat goes on", async () => {
    const chat = await new Chat().begin("gated-chat");
    await chat.sayHalf("never", "never said");
    chat.control("CANCEL");
    expect((await chat.event("RUN_FINISHED")).outcome).toEqual({ type: "cancelled" });
    const statuses = () =>
      chat.inbox.seen.flatMap(({ status: told }) => (told ? [`${told.status}:${told.message}`] : []));
    await until(() => statuses().length === 3, 60_000);
    expect(statuses().sort()).toEqual(["ACTIVE:cancel", "FINISHED:", "FINISHED:cancelled"]);
    chat.say("after");
    expect((await chat.event("RUN_FINISHED")).outcome.type).toBe("success");
    expect(chat.text()).not.toContain("never said");
    chat.stream.end();
    expect(await chat.inbox.end()).toBeNull();
  });

  test("a reset forgets messages and state, and stops what runs", async () => {
    const chat = await new Chat().begin("gated-chat", { initial_state: any({ a: 1 }) });
    await chat.sayHalf("reset");
    chat.control("RESET");
    expect((await chat.status("ACTIVE")).message).toBe("reset");
    expect(await http(`/v1/sessions/${chat.id}`)).toMatchObject({ message_count: 0, state: null });
    chat.say("new");
    await chat.status("FINISHED");
    expect((await http(`/v1/sessions/${chat.id}/messages`)).data.map(({ content }: Message) => content)).toEqual([
      "new",
      "new",
    ]);
    chat.stream.end();
    expect(await chat.inbox.end()).toBeNull();
  });

  test("who goes cancels the run", async () => {
    const chat = await new Chat().begin("gated-chat");
    await chat.sayHalf("gone");
    chat.inbox.cancel();
    await until(async () => (await http(`/v1/sessions/${chat.id}`)).runs[0].status === "canceled", 60_000);
  });

  test("a beginning that cannot be is told, and another may follow", async () => {
    const chat = new Chat();
    chat.stream.write({ init: { agent: "nobody-here" } });
    expect((await chat.inbox.next()).init).toMatchObject({ success: false, error_message: /nobody-here/ });
    await chat.begin("echo");
    const other = new Chat();
    await service.call("EndSession", { session_id: chat.id });
    other.stream.write({ init: { session_id: chat.id, agent: "echo" } });
    expect((await other.inbox.next()).init).toMatchObject({ success: false, error_message: /over/ });
    other.inbox.cancel();
    chat.say("too late");
    expect((await chat.status("ERROR")).message).toContain("over");
    chat.stream.end();
    expect(await chat.inbox.end()).toBeNull();
  });

  test.each([
    ["a message before init", { message: { message: { role: "user", content: "x" } } }, status.FAILED_PRECONDITION],
    ["nothing", {}, status.INVALID_ARGUMENT],
  ])("%s ends the stream", async (_, request, code) => {
    const chat = new Chat();
    chat.stream.write(request);
    expect((await chat.inbox.end())?.code).toBe(code);
  });

  test.each([
    ["a second init", { init: { agent: "echo" } }, status.FAILED_PRECONDITION],
    ["another chat's id", { control: { chat_id: "other", action: "PAUSE" } }, status.NOT_FOUND],
    ["an empty message", { message: {} }, status.INVALID_ARGUMENT],
  ])("%s ends the stream", async (_, request, code) => {
    const chat = await new Chat().begin("echo");
    chat.stream.write(request);
    expect((await chat.inbox.end())?.code).toBe(code);
  });
});

describe("HumanInLoop", () => {
  const open = () => {
    const stream = service.duplex("HumanInLoop");
    return { stream, inbox: new Inbox(stream) };
  };

  test("an approval is asked for on one stream and given on another", async () => {
    const asking = open();
    const request_id = `deploy-${++count}`;
    const action = { request_id, action_description: "Deploy?", action_data: any({ to: "production" }) };
    asking.stream.write({ approval: action });
    const { approval_required } = await asking.inbox.next();
    expect(approval_required).toMatchObject({ request_id, prompt: "Deploy?", options: ["approve", "reject"] });
    const deciding = open();
    deciding.stream.end({ approval_response: { request_id, approved: true, reason: "go" } });
    expect(await deciding.inbox.end()).toBeNull();
    const decided = inside(await asking.inbox.next(({ event }) => event));
    expect(decided).toMatchObject({
      type: "CUSTOM",
      name: "human_decision",
      value: { request_id, status: "approved", approved: true, reason: "go" },
    });
    expect((await asking.inbox.next()).continue_execution).toEqual({ request_id });
    asking.stream.end();
    expect(await asking.inbox.end()).toBeNull();
    // The same request is the same question, decided already.
    const again = open();
    again.stream.end({ approval: action });
    expect(await again.inbox.end()).toBeNull();
    expect(again.inbox.seen.map(({ response_type }) => response_type)).toEqual([
      "approval_required",
      "event",
      "continue_execution",
    ]);
    const other = open();
    other.stream.end({ approval: { ...action, action_description: "Delete?" } });
    expect((await other.inbox.end())?.code).toBe(status.ALREADY_EXISTS);
  });

  test.each([
    ["TEXT", "42", "42"],
    ["NUMBER", "42", 42],
    ["BOOLEAN", "true", true],
    ["JSON", '{"a":[1]}', { a: [1] }],
  ])("an input of type %s is asked for and given on the same stream", async (input_type, text, wanted) => {
    const { stream, inbox } = open();
    const request_id = `input-${++count}`;
    stream.write({ input: { request_id, prompt: "How many?", input_type } });
    const { input_required } = await inbox.next();
    expect(input_required).toMatchObject({ request_id, prompt: "How many?", input_type, required: true });
    stream.write({ input_response: { request_id, value: text } });
    expect(inside(await inbox.next(({ event }) => event)).value).toMatchObject({
      status: "input_provided",
      value: wanted,
    });
    stream.end();
    expect(await inbox.end()).toBeNull();
  });

  test("a wrong input is refused; the question stays and can be asked for again", async () => {
    const first = open();
    const request_id = `input-${++count}`;
    const input = { request_id, prompt: "How many?", input_type: "NUMBER" };
    first.stream.write({ input });
    await first.inbox.next();
    first.stream.write({ input_response: { request_id, value: "many" } });
    expect((await first.inbox.end())?.code).toBe(status.INVALID_ARGUMENT);
    const second = open();
    second.stream.write({ input });
    expect((await second.inbox.next()).input_required).toMatchObject({ request_id });
    // Somebody decides over HTTP.
    const list = await http("/v1/runs?workflow_name=human-question&status=waiting_human");
    const run = list.data.find(({ metadata }: Message) => metadata.request_id === request_id);
    await fetch(`${grpc.base}/v1/runs/${run.run_id}/human/question/provide_input`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"input":7}',
    });
    expect(inside(await second.inbox.next(({ event }) => event)).value).toMatchObject({ value: 7 });
    second.inbox.cancel();
  });

  test("a question that is cancelled is told as refused", async () => {
    const { stream, inbox } = open();
    const request_id = `gone-${++count}`;
    stream.write({ approval: { request_id, action_description: "Wait" } });
    await inbox.next();
    const list = await http("/v1/runs?workflow_name=human-question&status=waiting_human");
    const run = list.data.find(({ metadata }: Message) => metadata.request_id === request_id);
    await fetch(`${grpc.base}/v1/runs/${run.run_id}`, { method: "DELETE" });
    expect(inside(await inbox.next(({ event }) => event)).value).toMatchObject({ status: "resolved", approved: false });
    stream.end();
    expect(await inbox.end()).toBeNull();
  });

  test("a workflow's checkpoint is answered by its interrupt's id", async () => {
    const agui = grpc.stub("ag_ui.service.AGUIService");
    const forwarded_props = any({ input: { text: "# Bees\n\nBees fly." } });
    const request = { thread_id: `t-${++count}`, run_id: "r", agent: "document-brief", forwarded_props };
    const events = (await all(agui.stream("RunAgent", request))).map(eventOf);
    const { id } = events.at(-1).outcome.interrupts[0];
    const { stream, inbox } = open();
    stream.end({ approval_response: { request_id: id, approved: true } });
    expect(await inbox.end()).toBeNull();
    const run = id.slice(0, id.lastIndexOf(":"));
    await until(async () => (await http(`/v1/runs/${run}`)).status === "succeeded", 60_000);
  });

  test.each([
    ["nothing", {}, status.INVALID_ARGUMENT],
    ["a question without an id", { approval: { action_description: "x" } }, status.INVALID_ARGUMENT],
    ["an answer to nothing", { approval_response: { request_id: "none", approved: true } }, status.NOT_FOUND],
    ["an input for nothing", { input_response: { request_id: "none", value: "1" } }, status.NOT_FOUND],
  ])("%s ends the stream", async (_, request, code) => {
    const { stream, inbox } = open();
    stream.write(request);
    expect((await inbox.end())?.code).toBe(code);
  });
});

describe("BatchRunAgent", () => {
  const one = (content: string, agent = "echo") => ({
    thread_id: `batch-${++count}`,
    run_id: "r",
    agent,
    messages: [{ id: "m", role: "user", content }],
  });
  const batch = (requests: object[], options: object = {}) => service.stream("BatchRunAgent", { requests, options });
  const complete = (messages: Message[]) => messages.at(-1).complete;
  const textOf = (messages: Message[], at: number): string =>
    messages
      .filter(({ request_id, event }) => request_id === String(at) && event)
      .map(inside)
      .map(({ type, delta }) => (type === "TEXT_MESSAGE_CONTENT" ? delta : ""))
      .join("");

  test("in order: each run after the one before", async () => {
    const messages = await all(batch([one("a"), one("b"), one("c")]));
    expect([0, 1, 2].map((at) => textOf(messages, at))).toEqual(["a", "b", "c"]);
    const order = messages.slice(0, -1).map(({ request_id }) => request_id);
    expect(order).toEqual([...order].sort());
    expect(complete(messages)).toMatchObject({ successful_requests: 3, failed_requests: 0 });
    expect(complete(messages).completed_at.seconds).toBeGreaterThan(1_600_000_000);
  });

  test("side by side, up to the bound", async () => {
    const requests = [1, 2, 3].map((n) => one(`one wait:side-${n} two`, "gated-chat"));
    const inbox = new Inbox(batch(requests, { parallel_execution: true, max_concurrent: 2 }));
    await until(() => grpc.gate.reached.has("side-1") && grpc.gate.reached.has("side-2"), 60_000);
    expect(grpc.gate.reached.has("side-3")).toBe(false);
    grpc.gate.open("side-2");
    await until(() => grpc.gate.reached.has("side-3"), 60_000);
    grpc.gate.open("side-1");
    grpc.gate.open("side-3");
    expect(await inbox.end()).toBeNull();
    expect(complete(inbox.seen)).toMatchObject({ successful_requests: 3, failed_requests: 0 });
  });

  test("a request that is wrong fails alone", async () => {
    const messages = await all(batch([one("a"), one("x", "nobody-here"), { ...one("x"), run_id: "" }, one("d")]));
    const errors = messages.filter(({ error }) => error);
    expect(errors.map(({ request_id, error }) => [request_id, error.error_code])).toEqual([
      ["1", "NOT_FOUND"],
      ["2", "INVALID_INPUT"],
    ]);
    expect([textOf(messages, 0), textOf(messages, 3)]).toEqual(["a", "d"]);
    expect(complete(messages)).toMatchObject({ successful_requests: 2, failed_requests: 2 });
  });

  test("a time-out cancels what runs and begins nothing more", async () => {
    const requests = [one("one wait:too-long two", "gated-chat"), one("b")];
    const timeout = { seconds: Math.floor(Date.now() / 1000) + 2, nanos: 0 };
    const messages = await all(batch(requests, { timeout }));
    const errors = messages.filter(({ error }) => error).map(({ request_id, error }) => [request_id, error.error_code]);
    expect(errors).toEqual([
      ["0", "TIMED_OUT"],
      ["1", "TIMED_OUT"],
    ]);
    expect(complete(messages)).toMatchObject({ successful_requests: 0, failed_requests: 2 });
    const thread = requests[0]?.thread_id;
    await until(async () => (await http(`/v1/sessions/${thread}`)).runs[0].status === "canceled", 60_000);
    expect((await fetch(`${grpc.base}/v1/sessions/${requests[1]?.thread_id}`)).status).toBe(404);
  });

  test.each([
    ["none", []],
    ["too many", Array.from({ length: 257 }, () => ({}))],
  ])("%s are refused", async (_, requests) => {
    const error = (await all(batch(requests)).catch((thrown) => thrown)) as ServiceError;
    expect(error.code).toBe(status.INVALID_ARGUMENT);
  });

  test("a bound below one is refused", async () => {
    const error = (await all(batch([one("a")], { max_concurrent: -1 })).catch((thrown) => thrown)) as ServiceError;
    expect(error.code).toBe(status.INVALID_ARGUMENT);
  });
});
