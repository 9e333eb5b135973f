/** Reaching a NATS server that Troupe can use: connection, version, JetStream. */
import {
  type Authenticator,
  AuthorizationError,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
} from "@nats-io/transport-node";
import { BusError } from "../bus.ts";
import type { Clock } from "../clock.ts";
import { errorOf, type JetStreamApi } from "./api.ts";
import type { NatsOptions } from "./options.ts";

const RETRY_MS = 200;
const NOT_ENABLED = new Set([10039, 10076]);

/** Tries until the deadline; wrong credentials end it at once. Throws BusError `unreachable`. */
export async function openConnection(options: NatsOptions, clock: Clock, deadline: number): Promise<NatsConnection> {
  const settings = connectionOptions(options);
  for (;;) {
    try {
      return await connect(settings);
    } catch (cause) {
      const refused = cause instanceof AuthorizationError;
      if (refused || clock.monotonic() + RETRY_MS >= deadline) {
        const servers = [options.servers].flat().map(withoutCredentials).join(", ");
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new BusError("unreachable", `Cannot connect to NATS at ${servers}: ${why}.`, { cause });
      }
      await clock.sleep(RETRY_MS);
    }
  }
}

/** Waits until JetStream answers. Throws BusError `failed` when it is not enabled, `unreachable` at the deadline. */
export async function requireJetStream(api: JetStreamApi, deadlineMs: number): Promise<void> {
  const { nc } = api.requests;
  const off = () =>
    new BusError("failed", "JetStream is not enabled for this account of the NATS server. Start nats-server with -js.");
  const answer = await api.repeat("$JS.API.INFO", "", deadlineMs, (reply) => {
    if (reply.kind === "no_responders" && nc.info?.jetstream !== true) throw off();
    if (reply.kind !== "reply") return undefined;
    const info = reply.msg.json<Record<string, unknown>>();
    const error = errorOf(info);
    return error?.code === 503 && !NOT_ENABLED.has(error.err_code) ? undefined : info;
  });
  const error = errorOf(answer);
  if (error && NOT_ENABLED.has(error.err_code)) throw off();
  if (error) throw new BusError("failed", `JetStream refuses this account: ${error.description} (${error.err_code}).`);
}

function connectionOptions(options: NatsOptions): NodeConnectionOptions {
  const servers = [options.servers].flat();
  return {
    servers: servers.map(withoutCredentials),
    name: options.name ?? "troupe",
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    // A password that is being changed on the server must not end a node for ever.
    ignoreAuthErrorAbort: true,
    timeout: 5_000,
    pingInterval: 3_000,
    maxPingOut: 2,
    ...credentialsOf(servers[0] ?? ""),
    ...authentication(options),
    ...(options.tls ? { tls: options.tls } : {}),
    ...(options.inboxPrefix !== undefined ? { inboxPrefix: options.inboxPrefix } : {}),
  };
}

function authentication(options: NatsOptions): Partial<NodeConnectionOptions> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  let authenticator: Authenticator | undefined;
  if (options.creds !== undefined) authenticator = credsAuthenticator(bytes(options.creds));
  else if (options.nkey !== undefined) authenticator = nkeyAuthenticator(bytes(options.nkey));
  return {
    ...(authenticator ? { authenticator } : {}),
    ...(options.user !== undefined ? { user: options.user } : {}),
    ...(options.pass !== undefined ? { pass: options.pass } : {}),
    ...(options.token !== undefined ? { token: options.token } : {}),
  };
}

/** `nats://user:password@host` or `nats://token@host`, as NATS tools write it; the library ignores that part. */
function credentialsOf(server: string): Partial<NodeConnectionOptions> {
  const part = /^(?:[a-z]+:)?\/\/([^@/]+)@/.exec(server)?.[1];
  if (part === undefined) return {};
  const [user = "", pass] = part.split(":").map(decodeURIComponent);
  return pass === undefined ? { token: user } : { user, pass };
}

/** `nats://user:secret@host` must not reach a log. */
function withoutCredentials(server: string): string {
  return server.replace(/\/\/[^@/]*@/, "//");
}
