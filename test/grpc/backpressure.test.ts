/**
 * Readers that read nothing: they cost bounded memory, slow nobody, are cut off, and resume where they were. Real
 * sockets, a real runtime; what is measured is this process's heap, which holds server and clients.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { all, detailsOf, Inbox, jsonValue, type Message, type Stub, stub } from "./support/client.ts";
import { type Grpc, registerWorkflows, startGrpc } from "./support/start.ts";

const talk = {
  name: "talk",
  version: "1.0.0",
  stages: [{ name: "talk", agent_type: "talker", input: "${input}" }],
  output: "${stages.talk.output}",
};
const count = 1_200;
const chars = 10_000;
const slowReaders = 40;
const stallMs = 20_000;

let grpc: Grpc;
let runs: Stub;
beforeAll(async () => {
  grpc = await startGrpc({ limits: { stallMs } });
  await registerWorkflows(grpc.base, [talk]);
  runs = grpc.stub("agent.runtime.v1.AgentRuntime");
});
afterAll(() => grpc.stop());

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
function heapMiB(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

const noOf = ({ event_id }: Message): number => Number.parseInt(event_id.split("_")[1], 36);

test("slow readers cost bounded memory, slow nobody, and resume after they were cut off", {
  timeout: 240_000,
}, async () => {
  const created = await runs.call("CreateRun", {
    workflow: { name: "talk" },
    input: jsonValue({ count, chars, gate: "talk" }),
  });
  const { run_id } = created.run;
  // Half of it is history for everybody, the other half comes live.
  await until(() => grpc.gate.reached.has("talk-half"), 60_000);
  const before = heapMiB();
  const others: Stub[] = [];
  const slow: ClientReadableStream<Message>[] = [];
  const firsts: Promise<unknown>[] = [];
  for (let i = 0; i < slowReaders; i++) {
    // Half of them share the fast one's connection.
    const on = i % 2 === 0 ? runs : stub("agent.runtime.v1.AgentRuntime", grpc.at);
    if (on !== runs) others.push(on);
    const stream = on.stream("StreamEvents", { run_id });
    stream.on("error", () => undefined);
    slow.push(stream);
    firsts.push(new Promise((resolve) => stream.once("readable", () => resolve(undefined))));
  }
  await Promise.all(firsts);
  const fast = new Inbox(runs.stream("StreamEvents", { run_id }));
  await fast.next(({ type }) => type === "EVENT_TYPE_LLM_RESPONSE");
  await until(() => fast.seen.length > count / 2, 60_000, "the fast reader to have the first half");
  grpc.gate.open("talk-half");
  await until(() => fast.seen.length > count, 60_000, "the fast reader to have all that was told");
  // The slow ones have not read on meanwhile; without a bound they would hold 40 times 12 MB.
  const grown = heapMiB() - before;
  const unbounded = (slowReaders * count * chars) / 2 ** 20;
  console.log(`${slowReaders} readers that read nothing: ${grown.toFixed(0)} MiB (unbounded: ${unbounded.toFixed(0)})`);
  expect(grown).toBeLessThan(unbounded / 2);
  grpc.gate.open("talk-end");
  expect(await fast.end()).toBeNull();
  expect(fast.seen.at(-1).type).toBe("EVENT_TYPE_RUN_COMPLETED");
  const numbers = fast.seen.map(noOf);
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));

  // Each is told that it was too slow, behind what was under way to it, and loses nothing by resuming.
  await until(() => cutOff(grpc) >= slowReaders, stallMs * 3, "the slow readers to be cut off", 100);
  const [one] = slow as [ClientReadableStream<Message>];
  const got: Message[] = [];
  const error = await new Promise<ServiceError>((resolve) => {
    one.on("error", resolve);
    one.on("data", (message: Message) => got.push(message));
  });
  expect([error.code, detailsOf(error).reason]).toEqual([status.RESOURCE_EXHAUSTED, "OVERLOADED"]);
  expect(got.length).toBeLessThan(count / 4);
  const metadata = { "last-event-id": got.at(-1).event_id };
  const rest = await all(runs.stream("StreamEvents", { run_id }, { metadata }));
  expect([...got, ...rest]).toEqual(fast.seen);
  for (const stream of slow) stream.cancel();
  for (const other of others) other.close();
});

/** Streams that the server has ended as too slow. */
const cutOff = ({ logs }: Grpc): number =>
  logs.filter(
    ({ fields }) => fields.code === status.RESOURCE_EXHAUSTED && String(fields.method).endsWith("StreamEvents"),
  ).length;
