/** Blobs over a real server whose answers get lost: what was acknowledged, or may have been stored, is whole. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { JetStreamApi } from "../../src/bus/nats/api.ts";
import { NatsBlobs } from "../../src/bus/nats/blobs.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { type RawReply, Requests } from "../../src/bus/nats/requests.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";

const logger = { info: () => {}, warn: () => {}, error: () => {} };
const stream = "OBJ_TROUPE_BLOBS";
const bytes = Buffer.from(Array.from({ length: 1_200_000 }, (_, i) => i % 251));
/** Its messages: three chunks and what describes them. */
const messages = 4;

/** Requests that reach the server and are stored, and whose answers do not come back. */
class Forgetful extends Requests {
  loses: (subject: string) => boolean = () => false;

  override async request(...args: Parameters<Requests["request"]>): Promise<RawReply> {
    const reply = await super.request(...args);
    return this.loses(args[0]) ? { kind: "timed_out" } : reply;
  }
}

let server: TestNatsServer;
let bus: NatsBus;
let nc: NatsConnection;
let requests: Forgetful;
let api: JetStreamApi;
let blobs: NatsBlobs;

beforeAll(async () => {
  server = await startNatsServer();
  bus = await connectNats({ servers: server.url, layout: { partitions: 1, streams: 1 } });
  nc = await connect({ servers: server.url });
  const clock = systemClock;
  requests = new Forgetful(nc, clock, undefined);
  api = new JetStreamApi(requests, clock, 1_000, 5_000);
  blobs = new NatsBlobs(api, logger, 200);
});
afterAll(async () => {
  await nc.close();
  await bus.close();
  await server.stop();
});
beforeEach(async () => {
  requests.loses = () => false;
  await api.must(`STREAM.PURGE.${stream}`, {});
});

const stored = async (): Promise<number> =>
  ((await api.must(`STREAM.INFO.${stream}`, undefined)).state as { messages: number }).messages;

test("each message whose answer is lost is sent again, and stands once", async () => {
  const lost = new Set<string>();
  requests.loses = (subject) => {
    if (!subject.startsWith("$O.") || lost.has(subject)) return false;
    lost.add(subject);
    return true;
  };
  await blobs.put("run_1/a", bytes);
  expect(lost.size).toBe(2);
  expect(await stored()).toBe(messages);
  expect(Buffer.compare((await bus.blobs.get("run_1/a")) as Uint8Array, bytes)).toBe(0);
});

test("who does not learn that it was stored takes nothing of it away, and may store it again", async () => {
  requests.loses = (subject) => subject.startsWith("$O.TROUPE_BLOBS.M.");
  await expect(blobs.put("run_1/a", bytes)).rejects.toMatchObject({ code: "unreachable" });
  expect(Buffer.compare((await bus.blobs.get("run_1/a")) as Uint8Array, bytes)).toBe(0);
  requests.loses = () => false;
  await blobs.put("run_1/a", bytes);
  expect(await stored()).toBe(messages);
  expect(Buffer.compare((await bus.blobs.get("run_1/a")) as Uint8Array, bytes)).toBe(0);
});

test("a description without its chunks counts as nothing: they are stored again", async () => {
  await blobs.put("run_1/a", bytes);
  await api.must(`STREAM.PURGE.${stream}`, { filter: "$O.TROUPE_BLOBS.C.>" });
  await expect(bus.blobs.get("run_1/a")).rejects.toMatchObject({ code: "corrupt" });
  await blobs.put("run_1/a", bytes);
  expect(Buffer.compare((await bus.blobs.get("run_1/a")) as Uint8Array, bytes)).toBe(0);
  expect(await stored()).toBe(messages);
});

test("the same blob stored by many at once leaves the chunks of one", async () => {
  await Promise.all(Array.from({ length: 8 }, () => blobs.put("run_1/a", bytes)));
  expect(await stored()).toBe(messages);
  expect(Buffer.compare((await bus.blobs.get("run_1/a")) as Uint8Array, bytes)).toBe(0);
});

test("other bytes under the same name take the former ones' place", async () => {
  await blobs.put("run_1/a", bytes);
  await blobs.put("run_1/a", Buffer.from("short"));
  expect(await stored()).toBe(2);
  expect(Buffer.from((await bus.blobs.get("run_1/a")) as Uint8Array).toString()).toBe("short");
});
