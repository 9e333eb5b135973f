/** The gRPC server itself: credentials, scopes, limits, deadlines, sizes, TLS, health, reflection, its end. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { service as healthService } from "grpc-health-check";
import { SignJWT } from "jose";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseApiKeys } from "../../src/gateway/index.ts";
import { until } from "../support/until.ts";
import { all, any, detailsOf, Inbox, jsonValue, type Message, type Stub, services, stub } from "./support/client.ts";
import { type Grpc, registerWorkflows, startGrpc } from "./support/start.ts";

const refused = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(
    () => Promise.reject(new Error("it was not refused")),
    (error) => error,
  );
const secret = "a-secret-that-is-long-enough-for-hs256";
const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

describe("with credentials", () => {
  let grpc: Grpc;
  let runs: Stub;
  beforeAll(async () => {
    grpc = await startGrpc({
      apiKeys: parseApiKeys("all:top,reader:low:runs:read+events:read"),
      auth: { jwt: { secret, scopes: ["runs:read"] } as never, rateLimit: 60 },
      limits: { wsClientsPerCredentialMax: 2 },
    });
    await registerWorkflows(grpc.base, [], "top");
    runs = grpc.stub("agent.runtime.v1.AgentRuntime");
  });
  afterAll(() => grpc.stop());
  const key = (of: string) => ({ metadata: { "x-api-key": of } });

  test("a key or a bearer token is asked for, in metadata", async () => {
    for (const options of [undefined, key("wrong"), { metadata: { authorization: "Bearer wrong" } }]) {
      const error = await refused(runs.call("ListRuns", {}, options));
      expect(error.code).toBe(status.UNAUTHENTICATED);
      expect(detailsOf(error).reason).toBe("UNAUTHENTICATED");
    }
    expect((await refused(all(runs.stream("StreamEvents", { run_id: "x" })))).code).toBe(status.UNAUTHENTICATED);
    const chat = new Inbox(grpc.stub("ag_ui.service.AGUIAdvancedService").duplex("StreamingChat"));
    expect((await chat.end())?.code).toBe(status.UNAUTHENTICATED);
    expect((await runs.call("ListRuns", {}, key("low"))).data).toEqual([]);
    expect((await runs.call("ListRuns", {}, { metadata: { authorization: "Bearer top" } })).data).toEqual([]);
  });

  test("whether it is healthy is told to everybody", async () => {
    const agui = grpc.stub("ag_ui.service.AGUIService");
    expect((await agui.call("HealthCheck", {})).status).toBe("SERVING");
    expect((await refused(agui.call("GetServiceInfo", {}))).code).toBe(status.UNAUTHENTICATED);
  });

  test("a JWT counts, and an expired one does not", async () => {
    const token = (exp: string) =>
      new SignJWT({ sub: "ann" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime(exp).sign(Buffer.from(secret));
    const bearer = async (exp: string) => ({ metadata: { authorization: `Bearer ${await token(exp)}` } });
    expect((await runs.call("ListRuns", {}, await bearer("5m"))).data).toEqual([]);
    expect((await refused(runs.call("ListRuns", {}, await bearer("-5m")))).code).toBe(status.UNAUTHENTICATED);
    const error = await refused(runs.call("CreateRun", { workflow: { name: "echo" } }, await bearer("5m")));
    expect(error.code).toBe(status.PERMISSION_DENIED);
  });

  test.each([
    ["agent.AgentService", "ExecuteTask", { prompt: "x" }, "tasks:write"],
    ["agent.runtime.v1.AgentRuntime", "CreateRun", { workflow: { name: "echo" } }, "runs:write"],
    ["agent.runtime.v1.AgentRuntime", "ApproveCheckpoint", { run_id: "r", checkpoint_id: "c" }, "checkpoints:write"],
    ["ag_ui.service.AGUIAdvancedService", "UpdateState", { session_id: "s", state_delta: any(1) }, "runs:write"],
    ["ag_ui.service.AGUIAdvancedService", "ExecuteTool", { tool_call: { function: { name: "t" } } }, "tasks:write"],
  ] as const)("%s/%s needs its scope", async (service, method, request, scope) => {
    const error = await refused(grpc.stub(service).call(method, request, key("low")));
    expect(error.code).toBe(status.PERMISSION_DENIED);
    expect(detailsOf(error)).toMatchObject({ reason: "FORBIDDEN", metadata: { scope } });
  });

  test.each([
    ["RunAgent", "ag_ui.service.AGUIService"],
    ["BatchRunAgent", "ag_ui.service.AGUIAdvancedService"],
  ] as const)("a stream too: %s", async (method, service) => {
    const error = await refused(all(grpc.stub(service).stream(method, {}, key("low"))));
    expect([error.code, detailsOf(error).metadata.scope]).toEqual([status.PERMISSION_DENIED, "runs:write"]);
  });

  test("streams of one credential are bounded", async () => {
    const created = await runs.call(
      "CreateRun",
      { workflow: { name: "document-brief" }, input: jsonValue({ text: "# B\n\nBees fly." }) },
      key("top"),
    );
    const { run_id } = created.run;
    const open = () => new Inbox(runs.stream("StreamEvents", { run_id }, key("top")));
    const first = [open(), open()];
    for (const one of first) await one.next();
    const third = open();
    const error = (await third.end()) as ServiceError;
    expect([error.code, detailsOf(error).reason]).toEqual([status.RESOURCE_EXHAUSTED, "OVERLOADED"]);
    first[0]?.cancel();
    await until(async () => {
      const again = open();
      const began = await again.next().then(
        () => true,
        () => false,
      );
      again.cancel();
      return began;
    }, 60_000);
    first[1]?.cancel();
  });

  test("requests are counted as over HTTP, whatever the protocol, and told in metadata", {
    timeout: 150_000,
  }, async () => {
    const { initial } = await runs.callFully("ListRuns", {}, key("low"));
    expect(initial.get("x-ratelimit-limit")).toEqual(["60"]);
    expect(Number(initial.get("x-ratelimit-remaining")[0])).toBeLessThan(60);
    expect(initial.get("x-correlation-id")[0]).toEqual(expect.any(String));
    let error: ServiceError | undefined;
    for (let i = 0; i < 200 && error === undefined; i++) {
      error = await runs.call("ListRuns", {}, key("low")).then(
        () => undefined,
        (thrown) => thrown,
      );
    }
    expect([error?.code, error && detailsOf(error).reason]).toEqual([status.RESOURCE_EXHAUSTED, "RATE_LIMITED"]);
    expect(Number(error?.metadata.get("retry-after")[0])).toBeGreaterThan(0);
    expect((await fetch(`${grpc.base}/v1/runs`, { headers: { "x-api-key": "low" } })).status).toBe(429);
    expect((await runs.call("ListRuns", {}, key("top"))).data).toHaveLength(1);
  });
});

describe("without credentials", () => {
  let grpc: Grpc;
  let runs: Stub;
  beforeAll(async () => {
    grpc = await startGrpc({ limits: { bodyBytesMax: 100_000 } });
    await registerWorkflows(grpc.base);
    runs = grpc.stub("agent.runtime.v1.AgentRuntime");
  });
  afterAll(() => grpc.stop());

  test("a message that is too large is refused, and the next one is served", async () => {
    const large = { workflow: { name: "echo" }, input: jsonValue("x".repeat(200_000)) };
    expect((await refused(runs.call("CreateRun", large))).code).toBe(status.RESOURCE_EXHAUSTED);
    expect((await runs.call("ListRuns", {})).data).toEqual([]);
  });

  test("nesting is bounded", async () => {
    let deep: object = jsonValue(1);
    for (let i = 0; i < 70; i++) deep = { list_value: { values: [deep] } };
    const error = await refused(runs.call("CreateRun", { workflow: { name: "echo" }, input: deep }));
    expect([status.INVALID_ARGUMENT, status.INTERNAL]).toContain(error.code);
    // Thousands of levels, as bytes that no client library would write.
    const bytes = nested(8_000);
    const raw = new Client(grpc.at, credentials.createInsecure());
    opened.push(raw);
    const answer = await new Promise<ServiceError | null>((resolve) => {
      raw.makeUnaryRequest(
        "/agent.runtime.v1.AgentRuntime/CreateRun",
        (of: Buffer) => of,
        (of: Buffer) => of,
        bytes,
        (error) => resolve(error),
      );
    });
    expect([status.INVALID_ARGUMENT, status.INTERNAL]).toContain(answer?.code);
    expect((await runs.call("ListRuns", {})).data).toEqual([]);
  });

  test("an error's message and details fit into every client's trailers", async () => {
    const name = "ä😀".repeat(2_000);
    const error = await refused(runs.call("GetWorkflow", { name: name.slice(0, 199) }));
    expect(error.code).toBe(status.NOT_FOUND);
    const at = JSON.stringify(error.metadata.toJSON()).length;
    expect(at).toBeLessThan(8_000);
    const many = { workflow: { name: "document-brief" }, input: jsonValue(Object.fromEntries(fields(300))) };
    const large = await refused(runs.call("CreateRun", many));
    expect(large.code).toBe(status.INVALID_ARGUMENT);
    expect(JSON.stringify(large.metadata.toJSON()).length).toBeLessThan(8_000);
    expect(detailsOf(large).metadata.problems).toContain("path");
  });
  const fields = (count: number) => Array.from({ length: count }, (_, i) => [`field_${i}_ä`, i]);

  test("a correlation id is echoed and logged", async () => {
    const metadata = { "x-correlation-id": "test-42" };
    const { initial } = await runs.callFully("ListRuns", {}, { metadata });
    expect(initial.get("x-correlation-id")).toEqual(["test-42"]);
    const error = await refused(runs.call("GetRun", { run_id: "none" }, { metadata }));
    expect(detailsOf(error).metadata.correlation_id).toBe("test-42");
    const logged = grpc.logs.filter(({ fields: of }) => of.correlation_id === "test-42");
    expect(logged.map(({ fields: of }) => [of.method, of.code])).toEqual([
      ["/agent.runtime.v1.AgentRuntime/ListRuns", status.OK],
      ["/agent.runtime.v1.AgentRuntime/GetRun", status.NOT_FOUND],
    ]);
  });

  test("calls are among the metrics", async () => {
    const text = await (await fetch(`${grpc.base}/metrics`)).text();
    expect(text).toMatch(/path="\/agent\.runtime\.v1\.AgentRuntime\/ListRuns"/);
  });

  test("the standard health service", async () => {
    const client = new Client(grpc.at, credentials.createInsecure());
    opened.push(client);
    const check = (service: string): Promise<Message> =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = healthService.Check as Message;
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        );
      });
    for (const name of ["", ...services]) {
      await until(async () => (await check(name)).status === "SERVING", 60_000);
    }
    expect((await refused(check("nothing"))).code).toBe(status.NOT_FOUND);
  });

  test("reflection tells the services and their files", async () => {
    const client = new Client(grpc.at, credentials.createInsecure());
    opened.push(client);
    const answers = await reflect(client, [
      { list_services: "" },
      { file_containing_symbol: "ag_ui.service.AGUIService" },
    ]);
    const names = answers[0].list_services_response.service.map(({ name }: Message) => name);
    expect(names).toEqual(expect.arrayContaining([...services, "grpc.health.v1.Health"]));
    const files = answers[1].file_descriptor_response.file_descriptor_proto.map((bytes: Buffer) =>
      (descriptor as Message).FileDescriptorProto.decode(bytes),
    );
    expect(files.map(({ package: of }: Message) => of)).toEqual(expect.arrayContaining(["ag_ui.service", "ag_ui"]));
  });
});

/** The reflection service's own definition is small enough to stand here. */
const reflection = protobuf.parse(
  `syntax = "proto3"; package grpc.reflection.v1;
  message ServerReflectionRequest { string host = 1; string file_containing_symbol = 4; string list_services = 7; }
  message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
  message ServiceResponse { string name = 1; }
  message ListServiceResponse { repeated ServiceResponse service = 1; }
  message ServerReflectionResponse { FileDescriptorResponse file_descriptor_response = 4; ListServiceResponse list_services_response = 6; }
  service ServerReflection { rpc ServerReflectionInfo(stream ServerReflectionRequest) returns (stream ServerReflectionResponse); }`,
  { keepCase: true },
).root;

async function reflect(client: Client, requests: Message[]): Promise<Message[]> {
  const made = fromJSON(reflection.toJSON({ keepComments: false }) as never, { keepCase: true, oneofs: true });
  const { path, requestSerialize, responseDeserialize } = (made["grpc.reflection.v1.ServerReflection"] as Message)
    .ServerReflectionInfo;
  const call = client.makeBidiStreamRequest<Message, Message>(path, requestSerialize, responseDeserialize);
  const inbox = new Inbox(call as never);
  const answers: Message[] = [];
  for (const request of requests) {
    call.write(request);
    answers.push(await inbox.next());
  }
  call.end();
  return answers;
}

/** A CreateRunRequest whose input is a list in a list in a list… */
function nested(depth: number): Buffer {
  const writer = (field: number, inner: Uint8Array) =>
    protobuf.Writer.create()
      .uint32((field << 3) | 2)
      .bytes(inner)
      .finish();
  // Each level: JsonValue.list_value (6) of JsonList.values (1); built from sizes, innermost last.
  const sizes: number[] = [2];
  const varint = (n: number): number => (n < 128 ? 1 : n < 16_384 ? 2 : 3);
  for (let i = 0; i < depth; i++) {
    const inner = sizes.at(-1) as number;
    const list = 1 + varint(inner) + inner;
    sizes.push(list, 1 + varint(list) + list);
  }
  const bytes = protobuf.Writer.create();
  for (let i = sizes.length - 2; i > 0; i -= 2) {
    bytes.uint32((6 << 3) | 2).uint32(sizes[i] as number);
    bytes.uint32((1 << 3) | 2).uint32(sizes[i - 1] as number);
  }
  bytes.uint32(1 << 3).bool(true);
  const workflow = protobuf.Writer.create().uint32(10).string("echo").finish();
  return Buffer.concat([writer(1, workflow), writer(2, bytes.finish())]);
}

describe("TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "troupe-tls-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const openssl = (...argv: string[]) => execFileSync("openssl", argv, { cwd: folder, stdio: "pipe" });
  const read = (name: string) => readFileSync(join(folder, name));
  const subject = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

  beforeAll(() => {
    openssl("req", "-x509", ...subject, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem");
    for (const [name, alt] of [
      ["server", "IP:127.0.0.1"],
      ["worker-7", "DNS:worker-7"],
    ] as const) {
      openssl(
        "req",
        ...subject,
        "-subj",
        `/CN=${name}`,
        "-addext",
        `subjectAltName=${alt}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
      );
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-copy_extensions",
        "copy",
        "-out",
        `${name}.pem`,
      );
    }
  });

  const tls = (mutual: boolean) => ({
    certificate: read("server.pem"),
    key: read("server.key"),
    clientAuthorities: mutual ? read("ca.pem") : undefined,
  });

  test("clients that trust the authority are served, plain ones are not", async () => {
    const grpc = await startGrpc({ tls: tls(false) });
    try {
      const trusting = stub("agent.runtime.v1.AgentRuntime", grpc.at, {
        credentials: credentials.createSsl(read("ca.pem")),
      });
      const plain = stub("agent.runtime.v1.AgentRuntime", grpc.at);
      opened.push(trusting, plain);
      expect((await trusting.call("ListRuns", {})).data).toEqual([]);
      expect((await refused(plain.call("ListRuns", {}, { deadlineMs: 5_000 }))).code).not.toBe(status.OK);
    } finally {
      await grpc.stop();
    }
  });

  test("mutual: a client's certificate is its credential; none, none", async () => {
    const grpc = await startGrpc({
      tls: tls(true),
      auth: { certificates: { header: "", proxies: [], scopes: ["runs:read"] } },
      apiKeys: parseApiKeys("all:top"),
    });
    try {
      const own = credentials.createSsl(read("ca.pem"), read("worker-7.key"), read("worker-7.pem"));
      const runs = stub("agent.runtime.v1.AgentRuntime", grpc.at, { credentials: own });
      const without = stub("agent.runtime.v1.AgentRuntime", grpc.at, {
        credentials: credentials.createSsl(read("ca.pem")),
      });
      opened.push(runs, without);
      expect((await runs.call("ListRuns", {})).data).toEqual([]);
      const error = await refused(runs.call("CreateRun", { workflow: { name: "echo" } }));
      expect(error.code).toBe(status.PERMISSION_DENIED);
      expect(error.details).toContain("worker-7");
      // A key wins over the certificate.
      const byKey = runs.call("CreateRun", { workflow: { name: "none" } }, { metadata: { "x-api-key": "top" } });
      expect((await refused(byKey)).code).toBe(status.NOT_FOUND);
      expect((await refused(without.call("ListRuns", {}, { deadlineMs: 5_000 }))).code).not.toBe(status.OK);
      // What HTTP is told in headers is not believed.
      const said = await fetch(`${grpc.base}/v1/runs`, {
        headers: { "client-cert": `:${read("worker-7.pem").toString("base64")}:` },
      });
      expect(said.status).toBe(401);
    } finally {
      await grpc.stop();
    }
  });
});

test("closing ends streams with UNAVAILABLE, lets calls finish, and cancels no run", async () => {
  const grpc = await startGrpc();
  await registerWorkflows(grpc.base);
  const agui = grpc.stub("ag_ui.service.AGUIService");
  const messages = [{ id: "m", role: "user", content: "one wait:closing two" }];
  const inbox = new Inbox(agui.stream("RunAgent", { thread_id: "t", run_id: "r", agent: "gated-chat", messages }));
  await until(() => grpc.gate.reached.has("closing"), 60_000);
  await grpc.gateway.close(5_000);
  expect((await inbox.end())?.code).toBe(status.UNAVAILABLE);
  const { view } = await grpc.real.runtime.read({ type: "session", key: "t" });
  expect((view as Message).runs[0].status).toBe("running");
  await grpc.stop();
});
