/** Very many clients of the contracts' sockets: each hears every event once and in order; slow ones are told and closed. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client, type Message } from "../gateway/support/socket.ts";
import { type Started, start } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

const clientsCount = 400;
const tasksCount = 50;
let on: Started;
beforeAll(async () => {
  on = await start({ limits: { wsBufferBytesMax: 200_000 } });
});
afterAll(() => on.gateway.close(100));

const emit = (root: string, name: string, data = {}) => on.runtime.emit(root, "task", root, "echo", name, data);

/** A few at a time: a machine's listen queue is short. */
async function openAll(path: (i: number) => string): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < clientsCount) {
    const some = Array.from({ length: 50 }, (_, i) => Client.at(on.base, path(clients.length + i)));
    clients.push(...(await Promise.all(some)));
  }
  return clients;
}

const cases = [
  {
    path: (i: number) => `/ws/agent/client-${i}/`,
    begin: (client: Client) => client.next((m) => m.type === "connection_established"),
    name: (m: Message) => (m.type === "task_update" ? [m.task_id, m.status] : null),
    expected: ["accepted", "completed"],
  },
  {
    path: (i: number) => `/api/v1/ws/client-${i}`,
    begin: (client: Client) => client.after(() => true, { type: "subscribe", subscriptions: ["task_activity"] }),
    name: (m: Message) => (m.data ? [m.data.task_id, m.data.status] : null),
    expected: ["pending", "completed"],
  },
];

test.each(cases)("$expected", { timeout: 120_000 }, async ({ path, begin, name, expected }) => {
  const clients = await openAll(path);
  await Promise.all(clients.map(begin));
  const ids = Array.from({ length: tasksCount }, (_, i) => `many${path(0).length}-${i}`);
  for (const id of ids) {
    emit(id, "created", { priority: 5 });
    emit(id, "completed");
    await new Promise((resolve) => setImmediate(resolve));
  }
  const wanted = ids.flatMap((id) => expected.map((status) => [id, status]));
  const heard = (client: Client) => client.messages.map(name).filter((m) => m !== null);
  await until(() => clients.every((client) => heard(client).length >= wanted.length), 60_000, "all events");
  for (const client of clients) expect(heard(client)).toEqual(wanted);
  for (const client of clients) client.socket.terminate();
  await until(() => on.gateway.clients === 0);
});

test.each(cases)("a reader that is too slow is told and closed, others go on: $expected", async ({ path, begin }) => {
  const [slow, quick] = [await Client.at(on.base, path(1)), await Client.at(on.base, path(2))];
  await Promise.all([begin(slow), begin(quick)]);
  slow.socket.pause();
  const message = "x".repeat(10_000);
  for (let i = 0; i < 2_000 && on.gateway.clients === 2; i++) {
    emit(`slow-${path(0).length}-${i}`, "failed", { error: { code: "x", message } });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => on.gateway.clients === 1);
  slow.socket.resume();
  expect((await slow.closed).code).toBe(1013);
  expect(slow.messages.at(-1)).toMatchObject({ type: "error", message: expect.stringContaining("too slowly") });
  emit("after", "created");
  await quick.next((m) => m.task_id === "after" || m.data?.task_id === "after");
  quick.socket.terminate();
  await until(() => on.gateway.clients === 0);
});
