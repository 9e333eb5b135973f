/** Several processes over a real nats-server: what one gateway is told, another's subscribers hear, through an owner's death. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CallbackExecutor } from "../../src/actors/executors/callback.ts";
import { type Host, startHost } from "../../src/actors/host.ts";
import { newOutside } from "../../src/actors/outside.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { DurableSession } from "../../src/gateway/durable.ts";
import { address } from "../../src/machines/address.ts";
import { definitions } from "../../src/machines/index.ts";
import { quiet } from "../actors/support.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { until } from "../support/until.ts";
import { gatewayOver, open, publish } from "./support.ts";

let server: TestNatsServer;
const buses: NatsBus[] = [];
const hosts: Host[] = [];
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(async () => {
  for (const host of hosts) await host.stop();
  for (const bus of buses) await bus.close();
  await server.stop();
});

async function join(name: string, role: "all" | "gateway"): Promise<Host> {
  const bus = await connectNats({ servers: server.url, layout: { partitions: 4, streams: 2, replicas: 1 } });
  buses.push(bus);
  const host = await startHost({
    bus,
    definitions,
    settings: { leaseMs: 1_000, flushMs: 50, replayBytes: 1 << 22, activeMax: 10_000 },
    logger: quiet,
    name,
    role,
    executors: (runtime, node) => {
      const port = {
        announce: runtime.announce.bind(runtime),
        ask: runtime.ask.bind(runtime),
        values: runtime.values,
        clock: bus.clock,
        node,
        logger: quiet,
      };
      const outside = newOutside(["127.0.0.1"], bus.clock);
      return role === "gateway" ? [] : [new CallbackExecutor(port, { outside, secret: (n) => runtime.secret(n) })];
    },
  });
  hosts.push(host);
  return host;
}

test("publications, durable subscriptions and callbacks over two gateways, while their owner dies", async () => {
  const calls: string[] = [];
  const hook = createServer((request, response) => {
    calls.push(String(request.headers["webhook-id"]));
    response.writeHead(calls.length === 1 ? 503 : 200).end();
  });
  await new Promise<void>((resolve) => hook.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
  const first = await join("first", "all");
  const [a, b] = [await join("ga", "gateway"), await join("gb", "gateway")];
  const topics = Array.from({ length: 8 }, (_, i) => `orders.t${i}`);
  await open(a.runtime, "sub-1", ["orders.*"]);
  const got: string[] = [];
  const listen = (host: Host) =>
    new DurableSession(gatewayOver(host.runtime).durable, {
      id: "sub-1",
      onMessage: (m) => void got.push(`${m.topic} ${(m.data as { n: number }).n}`),
      onError: (error) => {
        throw error;
      },
      onReplaced: () => undefined,
    });
  const one = listen(b);
  await one.start();
  for (const topic of topics) await publish(a.runtime, topic, 1);
  await until(() => got.length === topics.length);
  await one.stop();
  const create = {
    source: "x",
    target: "y",
    requestType: "t",
    data: 1,
    timeoutMs: 120_000,
    owner: "k",
    callback: { url },
  };
  await a.runtime.ask(address("request", "r1"), { type: "request.create", ...create });
  for (const topic of topics) await publish(a.runtime, topic, 2);
  // The owner of everything is gone without a word; another takes over.
  for (const partition of first.node.partitions.values()) partition.abandon();
  first.node.membership.abandon();
  hosts.splice(hosts.indexOf(first), 1);
  await (buses.shift() as NatsBus).close();
  await join("second", "all");
  const respond = { type: "request.respond", responseId: "resp", status: "success", data: 2, errors: [], by: "y" };
  const late = { timeoutMs: 30_000 };
  await b.runtime.ask(address("request", "r1"), respond, late);
  const two = listen(a);
  await two.start();
  for (const topic of topics) await publish(b.runtime, topic, 3);
  await until(() => got.length >= 3 * topics.length, 30_000);
  expect(got).toHaveLength(3 * topics.length);
  for (const topic of topics)
    expect(got.filter((line) => line.startsWith(`${topic} `))).toEqual([1, 2, 3].map((n) => `${topic} ${n}`));
  await until(async () => (await a.runtime.read(address("delivery", "r1~callback"))).view !== null, 30_000);
  const status = async () =>
    ((await a.runtime.read(address("delivery", "r1~callback"))).view as { status: string }).status;
  await until(async () => (await status()) === "delivered", 30_000);
  expect(calls).toEqual(["r1", "r1"]);
  await two.stop();
  hook.close();
}, 120_000);
