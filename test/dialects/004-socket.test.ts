/** Contract 004's socket as its clients see it: channels, confirmations, messages, on the real runtime. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { Client, type Message } from "../gateway/support/socket.ts";
import { type Started, startOver } from "../gateway/support/start.ts";

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

const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const create = async (task_type: string): Promise<string> =>
  (await on.send("POST", "/v1/tasks", { task_type, input: "x", priority: 8 })).body.task.task_id;
const of = (client: Client, id: string) => client.messages.filter((m: Message) => m.data?.task_id === id);

test("the example of the text: subscribe, confirmed, told what happens, each message with type, data and time", async () => {
  const client = await Client.at(on.base, "/api/v1/ws/test-client");
  const subscribe = { type: "subscribe", subscriptions: ["agent_activity", "task_activity"] };
  expect(await client.after(() => true, subscribe)).toEqual({
    type: "subscription_confirmed",
    subscriptions: ["agent_activity", "task_activity"],
  });
  const id = await create("echo");
  await client.next((m) => m.type === "task_completed" && m.data.task_id === id);
  expect(of(client, id)[0]).toEqual({
    type: "task_submitted",
    data: expect.objectContaining({ task_id: id, task_type: "echo", status: "pending", priority: 8 }),
    timestamp,
  });
  expect(of(client, id).at(-1)).toEqual({
    type: "task_completed",
    data: expect.objectContaining({ task_id: id, status: "completed" }),
    timestamp,
  });
  client.close();
});

test("agents come, change and leave: agent_activity, to those who subscribed to it alone", async () => {
  const [hears, other] = [await Client.at(on.base, "/api/v1/ws/a"), await Client.at(on.base, "/api/v1/ws/b/")];
  await hears.after(() => true, { type: "subscribe", subscriptions: ["agent_activity"] });
  await other.after(() => true, { type: "subscribe", subscriptions: ["task_activity", "conflict_alerts"] });
  const at = { type: "agent", key: "visitor" };
  const register = { type: "agent.register", agentType: "guest", name: "V", capabilities: ["read"], concurrency: 2 };
  await real.runtime.ask(at, register);
  await real.runtime.ask(at, { type: "agent.deregister" });
  await hears.next((m) => m.type === "agent_deregistered");
  const told = hears.messages.filter((m) => m.data?.agent_id === "visitor");
  expect(told.map((m) => m.type)).toEqual(["agent_registered", "agent_deregistered"]);
  expect(told[0]).toEqual({
    type: "agent_registered",
    data: expect.objectContaining({ agent_id: "visitor", agent_type: "guest", capabilities: ["read"] }),
    timestamp,
  });
  const id = await create("echo");
  await other.next((m) => m.type === "task_completed" && m.data.task_id === id);
  expect(other.messages.filter((m) => m.type.startsWith("agent_"))).toEqual([]);
  expect(hears.messages.filter((m) => m.type.startsWith("task_"))).toEqual([]);
  hears.close();
  other.close();
});

test("a cancelled task is told as ended, with its own status; after unsubscribing nothing is", async () => {
  const client = await Client.at(on.base, "/api/v1/ws/c");
  const channel = { subscriptions: ["task_activity"] };
  await client.after(() => true, { type: "subscribe", ...channel });
  const id = await create("nobody-does-this");
  await on.send("DELETE", `/v1/tasks/${id}`);
  expect((await client.next((m) => m.type === "task_completed" && m.data.task_id === id)).data.status).toBe(
    "cancelled",
  );
  expect(await client.after(() => true, { type: "unsubscribe", ...channel })).toEqual({
    type: "unsubscription_confirmed",
    ...channel,
  });
  const before = client.messages.length;
  await create("nobody-does-this");
  expect(await client.after(() => true, { type: "unsubscribe", ...channel })).toMatchObject({
    type: "unsubscription_confirmed",
  });
  expect(client.messages).toHaveLength(before + 1);
  client.close();
});

test.each([
  { type: "subscribe", subscriptions: ["everything"] },
  { type: "subscribe", subscriptions: [] },
  { type: "subscribe", subscriptions: "task_activity" },
  { type: "subscribe" },
  { type: "message_type", data: {} },
])("%j is refused with type, message and time, and changes nothing", async (message) => {
  const client = await Client.at(on.base, "/api/v1/ws/d");
  expect(await client.after(() => true, message)).toEqual({
    type: "error",
    message: expect.any(String),
    data: { code: "invalid_input", message: expect.any(String) },
    timestamp,
  });
  const again = await client.after(() => true, { type: "subscribe", subscriptions: ["task_activity"] });
  expect(again.type).toBe("subscription_confirmed");
  client.close();
});
