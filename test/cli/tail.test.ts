import { afterEach, beforeEach, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { cli, jsonLines } from "./harness.ts";
import { Stub } from "./stub.ts";

let stub: Stub;
beforeEach(async () => {
  stub = await new Stub().listen();
});
afterEach(() => stub.close());

function send(socket: WebSocket, no: number): void {
  const event = { root: "r1", no, type: "task", key: "r1~a", kind: "x", name: "completed", at: 0, data: {} };
  socket.send(JSON.stringify({ type: "event", id: "tail", cursor: `k${no}`, event }));
}

test("resumes after a cut with the last cursor", async () => {
  const subscriptions: Record<string, unknown>[] = [];
  stub.onSocket = (socket, first) => {
    subscriptions.push(first);
    socket.send(JSON.stringify({ type: "subscribed", id: first.id, cursor: first.since ?? "k0" }));
    const n = subscriptions.length;
    if (n > 1) send(socket, n - 1);
    if (n < 4) socket.terminate();
  };
  const one = cli(["tail", "event.>", "--json", "--count", "3", "--url", stub.url]);
  expect(await one.code).toBe(0);
  expect(jsonLines(one.out.text).map((line) => [line.no, line.cursor])).toEqual([
    [1, "k1"],
    [2, "k2"],
    [3, "k3"],
  ]);
  expect(subscriptions.map((first) => first.since)).toEqual([undefined, "k0", "k1", "k2"]);
  expect(subscriptions[0]).toMatchObject({ type: "subscribe", pattern: "event.>" });
});

test("a refused subscription is an error with what to do", async () => {
  stub.onSocket = (socket, first) => {
    const error = { code: "cursor_expired", message: "Too old.", details: { oldest: "k9" } };
    socket.send(JSON.stringify({ type: "error", id: first.id, error }));
  };
  const one = cli(["tail", "event.>", "--since", "k1", "--url", stub.url]);
  expect(await one.code).toBe(1);
  expect(one.err.text).toContain(
    "error: cursor_expired: Too old.\n  The oldest cursor that can be replayed: --since k9",
  );
});

test("a reader that goes away ends it quietly (tail | head)", async () => {
  stub.onSocket = (socket, first) => {
    socket.send(JSON.stringify({ type: "subscribed", id: first.id, cursor: "k0" }));
    send(socket, 1);
    const one = setInterval(() => send(socket, 2), 5);
    socket.on("close", () => clearInterval(one));
  };
  const one = cli(["tail", "event.>", "--url", stub.url]);
  await one.out.shows("task.completed");
  one.out.broken = true;
  expect(await one.code).toBe(0);
});

test("nobody there is 3 at once; Ctrl-C is 130", async () => {
  const argv = ["tail", "event.>", "--url", stub.url];
  const two = cli(argv);
  stub.onSocket = (socket, first) => socket.send(JSON.stringify({ type: "subscribed", id: first.id, cursor: "k0" }));
  await two.err.shows("listening");
  two.interrupt();
  expect(await two.code).toBe(130);
  await stub.close();
  expect(await cli(argv).code).toBe(3);
  await stub.listen();
});
