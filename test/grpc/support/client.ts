/** Clients made from the .proto files as any other program would make them; knows nothing of the server's code. */
import { fileURLToPath } from "node:url";
import {
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { vi } from "vitest";

/** Waiting is for things; time is only for what never comes, also on a machine that has much else to do. */
vi.setConfig({ testTimeout: 150_000, hookTimeout: 150_000 });
const waitMs = 60_000;

const root = fileURLToPath(new URL("../../../proto", import.meta.url));
const definition = loadSync(
  ["agent/agent.proto", "agent/runtime.proto", "ag_ui/service.proto", "ag_ui/advanced_service.proto"],
  { includeDirs: [root], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true },
);
const packages = loadPackageDefinition(definition);

export const services = [
  "agent.AgentService",
  "agent.runtime.v1.AgentRuntime",
  "ag_ui.service.AGUIService",
  "ag_ui.service.AGUIAdvancedService",
] as const;
export type ServiceName = (typeof services)[number];

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
export type Message = any;

export interface Options {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
}

export interface Stub {
  readonly client: Client;
  call(method: string, request: object, options?: Options): Promise<Message>;
  /** With the metadata that came before the answer. */
  callFully(method: string, request: object, options?: Options): Promise<{ answer: Message; initial: Metadata }>;
  stream(method: string, request: object, options?: Options): ClientReadableStream<Message>;
  duplex(method: string, options?: Options): ClientDuplexStream<object, Message>;
  close(): void;
}

export function stub(
  service: ServiceName,
  at: string,
  more: { credentials?: ChannelCredentials; channel?: object } = {},
): Stub {
  let found: unknown = packages;
  for (const part of service.split(".")) found = (found as Record<string, unknown>)[part];
  const Made = found as new (at: string, credentials: ChannelCredentials, options: object) => Client;
  const client = new Made(at, more.credentials ?? credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    ...more.channel,
  });
  const methods = client as unknown as Record<string, (...args: unknown[]) => never>;
  const parts = ({ metadata = {}, deadlineMs }: Options = {}): [Metadata, CallOptions] => {
    const sent = new Metadata();
    for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
    return [sent, deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }];
  };
  const callFully: Stub["callFully"] = (method, request, options) =>
    new Promise((resolve, reject) => {
      let initial = new Metadata();
      const call = methods[method]?.(request, ...parts(options), (error: ServiceError | null, answer: Message) =>
        error === null ? resolve({ answer, initial }) : reject(error),
      ) as unknown as { on(event: "metadata", listener: (metadata: Metadata) => void): void };
      call.on("metadata", (metadata) => {
        initial = metadata;
      });
    });
  return {
    client,
    call: async (method, request, options) => (await callFully(method, request, options)).answer,
    callFully,
    stream: (method, request, options) => methods[method]?.(request, ...parts(options)) as never,
    duplex: (method, options) => methods[method]?.(...parts(options)) as never,
    close: () => client.close(),
  };
}

/** All that a stream gives; rejects with its status when that is an error. */
export async function all(stream: AsyncIterable<Message>): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

/** What comes on a stream, one after the other, waited for one at a time. */
export class Inbox {
  readonly seen: Message[] = [];
  readonly #stream: ClientReadableStream<Message> | ClientDuplexStream<object, Message>;
  #ended: { error: ServiceError | null } | undefined;
  #wake: () => void = () => undefined;
  #at = 0;

  constructor(stream: ClientReadableStream<Message> | ClientDuplexStream<object, Message>) {
    this.#stream = stream;
    stream.on("data", (message: Message) => {
      this.seen.push(message);
      this.#wake();
    });
    stream.on("error", (error: ServiceError) => {
      this.#ended ??= { error };
      this.#wake();
    });
    stream.on("end", () => {
      this.#ended ??= { error: null };
      this.#wake();
    });
  }

  /** The next one for which it holds; throws when the stream ends before, or after a minute. */
  async next(holds: (message: Message) => boolean = () => true): Promise<Message> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      while (this.#at < this.seen.length) {
        const message = this.seen[this.#at++];
        if (holds(message)) return message;
      }
      if (this.#ended !== undefined) throw this.#ended.error ?? new Error("the stream has ended");
      await this.#change(deadline - performance.now());
    }
  }

  /** Its end: null, or the status that ended it. */
  async end(): Promise<ServiceError | null> {
    const deadline = performance.now() + waitMs;
    while (this.#ended === undefined) await this.#change(deadline - performance.now());
    return this.#ended.error;
  }

  cancel(): void {
    this.#stream.cancel();
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`nothing came; so far ${JSON.stringify(this.seen)}`)), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The ErrorInfo in `grpc-status-details-bin` (google.rpc.Status with one detail). */
export function detailsOf(error: ServiceError): {
  code: number;
  message: string;
  reason: string;
  domain: string;
  metadata: Record<string, string>;
} {
  const rpc = protobuf.parse(
    `syntax = "proto3"; package google.rpc;
    message Any { string type_url = 1; bytes value = 2; }
    message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
    message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }`,
    { keepCase: true },
  ).root;
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const status = rpc.lookupType("google.rpc.Status").decode(bytes as Buffer) as Message;
  const [detail] = status.details;
  if (detail.type_url !== "type.googleapis.com/google.rpc.ErrorInfo") throw new Error(detail.type_url);
  const info = rpc.lookupType("google.rpc.ErrorInfo").decode(detail.value) as Message;
  const { reason, domain, metadata } = info;
  return { code: status.code, message: status.message, reason, domain, metadata };
}

const structs = protobuf.Root.fromJSON(protobuf.common.get("google/protobuf/struct.proto") as protobuf.INamespace);
const valueType = structs.lookupType("google.protobuf.Value");

/** JSON as a google.protobuf.Value. */
export function value(json: unknown): object {
  if (json === null) return { nullValue: "NULL_VALUE" };
  if (typeof json === "boolean") return { boolValue: json };
  if (typeof json === "number") return { numberValue: json };
  if (typeof json === "string") return { stringValue: json };
  if (Array.isArray(json)) return { listValue: { values: json.map(value) } };
  const fields = Object.fromEntries(Object.entries(json as object).map(([key, one]) => [key, value(one)]));
  return { structValue: { fields } };
}

/** JSON of a google.protobuf.Value, as proto-loader or protobufjs gives it. */
export function json(message: Message): unknown {
  const kind = message?.kind;
  if (kind === "nullValue") return null;
  if (kind === "listValue") return (message.listValue.values ?? []).map(json);
  if (kind === "structValue") {
    const fields = Object.entries(message.structValue.fields ?? {}).map(([key, one]) => [key, json(one)]);
    return Object.fromEntries(fields);
  }
  return message?.[kind];
}

/** JSON in a google.protobuf.Any, by way of Value. */
export function any(of: unknown): object {
  return {
    type_url: "type.googleapis.com/google.protobuf.Value",
    value: Buffer.from(valueType.encode(valueType.fromObject(value(of))).finish()),
  };
}

export function fromAny(message: Message): unknown {
  expectType(message.type_url);
  return json(valueType.toObject(valueType.decode(message.value), { enums: String, oneofs: true, defaults: true }));
}

function expectType(url: string): void {
  if (url !== "type.googleapis.com/google.protobuf.Value") throw new Error(`unexpected ${url}`);
}

/** Contract 002's JsonValue. */
export function jsonValue(of: unknown): object {
  if (of === null) return { null_value: {} };
  if (typeof of === "boolean") return { bool_value: of };
  if (typeof of === "number") return Number.isSafeInteger(of) ? { int_value: of } : { double_value: of };
  if (typeof of === "string") return { string_value: of };
  if (Array.isArray(of)) return { list_value: { values: of.map(jsonValue) } };
  const fields = Object.fromEntries(Object.entries(of as object).map(([key, one]) => [key, jsonValue(one)]));
  return { struct_value: { fields } };
}

export function fromJsonValue(message: Message): unknown {
  if (message === null) return undefined;
  if (message.kind === "null_value") return null;
  if (message.kind === "list_value") return message.list_value.values.map(fromJsonValue);
  if (message.kind === "struct_value") {
    const fields = Object.entries(message.struct_value.fields).map(([key, one]) => [key, fromJsonValue(one)]);
    return Object.fromEntries(fields);
  }
  return message[message.kind];
}

/** The AG-UI event of an EventResponse, as its raw_event tells it. */
export const eventOf = (response: Message): Message => json(response.event.raw_event);

/** The .proto files as protobufjs reads them, from where they are. */
export async function protoRoot(files: readonly string[]): Promise<protobuf.Root> {
  const parsed = new protobuf.Root();
  parsed.resolvePath = (_, target) => (protobuf.common.get(target) === null ? `${root}/${target}` : target);
  await parsed.load([...files], { keepCase: true });
  parsed.resolveAll();
  return parsed;
}
