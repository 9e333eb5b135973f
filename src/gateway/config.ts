/**
 * What the gateway can be told: addresses, credentials and bounds, with defaults. Reads no
 * environment; `src/config.ts` does and hands the values in.
 */
import type { ApiKey } from "./auth/api-keys.ts";
import type { AuthSettings } from "./auth/auth.ts";
import type { GrpcSettings } from "./grpc/server.ts";

/** Structurally the bus's clock; the gateway may not import the bus. */
export interface GatewayClock {
  now(): number;
  monotonic(): number;
  after(ms: number, fn: () => void): { cancel(): void };
}

/** Structurally pino's logger. */
export interface GatewayLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface GatewayLimits {
  /** Largest request body. Above: 413. */
  readonly bodyBytesMax: number;
  /** Nesting of JSON in bodies and messages. */
  readonly jsonDepthMax: number;
  /** How long an operation waits for the runtime. */
  readonly askTimeoutMs: number;
  /** How long a signed download URL is good for. */
  readonly downloadTtlMs: number;
  /** Silence on an event stream before a comment line. */
  readonly sseHeartbeatMs: number;
  /** How long a reader may accept nothing before it is closed. */
  readonly stallMs: number;
  readonly wsMessageBytesMax: number;
  readonly wsClientsMax: number;
  /** Of one credential at this gateway; not of the caller without credentials. */
  readonly wsClientsPerCredentialMax: number;
  /** Of one client, sustained; ten times as many at once. Not of the caller without credentials. */
  readonly wsMessagesPerSecondMax: number;
  readonly wsSubscriptionsMax: number;
  /** Requests of one WebSocket client that wait at once. */
  readonly wsRequestsMax: number;
  /** Unsent bytes of one WebSocket client before it is told and closed with 1013. */
  readonly wsBufferBytesMax: number;
}

export const gatewayLimits: GatewayLimits = {
  bodyBytesMax: 32 * 1024 * 1024,
  jsonDepthMax: 64,
  askTimeoutMs: 10_000,
  downloadTtlMs: 15 * 60_000,
  sseHeartbeatMs: 15_000,
  stallMs: 30_000,
  wsMessageBytesMax: 1024 * 1024,
  wsClientsMax: 12_000,
  wsClientsPerCredentialMax: 1_000,
  wsMessagesPerSecondMax: 200,
  wsSubscriptionsMax: 64,
  wsRequestsMax: 64,
  wsBufferBytesMax: 4 * 1024 * 1024,
};

export interface AgUiSettings {
  /** What becomes of a run whose client goes before its end. */
  readonly onDisconnect: "cancel" | "detach";
  /** What a second run of a thread at once meets, unless the session says. Default `serial`. */
  readonly concurrency?: "serial" | "refuse";
}

export interface GatewayConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Base of absolute URLs, e.g. `https://troupe.example.org`; without it the request's Host is used. */
  readonly publicUrl?: string | undefined;
  /** Neither these, nor other credentials, nor stored keys: loopback only, and every caller is `local` with every scope. */
  readonly apiKeys?: readonly ApiKey[];
  readonly auth?: AuthSettings;
  /** `health`: only /healthz and /readyz, to everybody. Default `all`. */
  readonly surface?: "all" | "health";
  /** `javascript`: not the native HTTP server even where there is one. */
  readonly server?: "native" | "javascript" | undefined;
  /** Shown in `GET /` and in the OpenAPI document. */
  readonly version: string;
  readonly limits?: Partial<GatewayLimits>;
  /** Default: `cancel`. */
  readonly agUi?: AgUiSettings | undefined;
  /** Absent: no gRPC is served. */
  readonly grpc?: GrpcSettings | undefined;
}
