/** A subscriber over a real runtime, as the gateway puts it together. */
import type { Runtime } from "../../src/actors/client.ts";
import { Attributes } from "../../src/gateway/attributes.ts";
import { Hub } from "../../src/gateway/hub.ts";
import { Subscriber } from "../../src/gateway/subscriber.ts";
import { address } from "../../src/machines/address.ts";
import { quiet } from "../actors/support.ts";
import { realClock } from "../gateway/support/start.ts";

export function gatewayOver(runtime: Runtime) {
  const hub = new Hub(runtime.feed, quiet);
  const subscriber = new Subscriber({
    hub,
    clock: realClock,
    attributes: new Attributes({ runtime, clock: realClock }),
    cursor: () => runtime.feed.cursor(),
    load: (value) => runtime.values.load(value),
  });
  return { hub, clock: realClock, durable: { runtime, clock: realClock, logger: quiet, subscriber }, subscriber };
}

let ids = 0;
export async function publish(runtime: Runtime, topic: string, n: number, attributes = {}): Promise<void> {
  const command = { type: "topic.publish", id: `p${++ids}`, keyed: false, data: { n }, attributes, source: "a" };
  await runtime.ask(address("topic", topic), command);
}

export async function open(runtime: Runtime, id: string, topics: readonly string[], filters = {}): Promise<void> {
  const command = { type: "subscription.open", owner: "k", topics, filters, position: runtime.feed.cursor() };
  await runtime.ask(address("subscription", id), command);
}

/** A promise that is settled from outside. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let resolve: () => void = () => undefined;
  const opened = new Promise<void>((done) => {
    resolve = done;
  });
  return { opened, open: () => resolve() };
}
