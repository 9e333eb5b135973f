/**
 * What an operation is: one value from which routes, validation, OpenAPI, WebSocket requests
 * and metric labels come. The table is in `operations/`; protocols are elsewhere.
 */
import { z } from "zod";
import type { Runtime } from "../actors/client.ts";
import type { ErrorCode } from "../machines/errors.ts";
import type { Activity } from "./activity.ts";
import type { AgentHints } from "./agents/hints.ts";
import type { AuthServices } from "./auth/auth.ts";
import { type Credential, permits, requireScope } from "./auth/credential.ts";
import type { AgUiSettings, GatewayClock, GatewayLimits, GatewayLogger } from "./config.ts";
import type { DownloadSigner } from "./downloads.ts";
import { invalid, zodProblems } from "./errors.ts";
import type { Hub } from "./hub.ts";
import type { SchemaChecker } from "./json-schema.ts";
import type { LiveHub } from "./live-hub.ts";
import type { Monitor } from "./monitoring/monitor.ts";
import type { Pulse } from "./monitoring/pulse.ts";
import type { SystemMetrics } from "./operations/metrics.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Workflows } from "./workflows.ts";

/** What lives as long as the gateway and operations share. */
export interface Services {
  readonly runtime: Runtime;
  readonly clock: GatewayClock;
  readonly logger: GatewayLogger;
  readonly limits: GatewayLimits;
  readonly hub: Hub;
  readonly liveHub: LiveHub;
  readonly activity: Activity;
  /** Topics: what subscribers of every protocol hear. */
  readonly subscriber: Subscriber;
  readonly schemas: SchemaChecker;
  readonly workflows: Workflows;
  readonly downloads: DownloadSigner;
  readonly monitor: Monitor;
  /** What `metrics.system` tells, every few seconds. */
  readonly pulse: Pulse<SystemMetrics>;
  readonly agentHints: AgentHints;
  readonly auth: AuthServices;
  readonly agUi: AgUiSettings;
  readonly version: string;
}

export interface OperationContext extends Services {
  readonly credential: Credential;
  readonly correlationId: string;
  readonly idempotencyKey?: string | undefined;
  /** `https://host[:port]` for absolute URLs in answers. */
  readonly baseUrl: string;
  /** Aborted when who asked has gone: an answer that waits need not wait on. */
  readonly signal?: AbortSignal;
  /** Another status of success than the operation's own (HTTP; one of its `statuses`). */
  readonly setStatus?: (status: number) => void;
  /** Tells the protocol something beside the result (a header in HTTP). */
  readonly note?: (name: string, value: string) => void;
}

/** What a streamed answer may look at. */
export interface StreamRequest {
  readonly accept: string;
  readonly lastEventId: string;
  /** Path and query exactly as received. */
  readonly target: string;
  /** Aborted when the client has gone or, with the reason `closing`, the gateway closes. */
  readonly signal: AbortSignal;
}

export interface Streamed {
  readonly headers: readonly (readonly [string, string])[];
  /** Total bytes; absent: unknown, sent in chunks as it comes. */
  readonly size?: number;
  readonly chunks: AsyncIterable<string | Uint8Array>;
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Described {
  /** `noun.verb`, also the operationId and the metric label. */
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  /** What beyond the common ones (401, 403, 500, 503…) it may answer. */
  readonly errors: readonly ErrorCode[];
  readonly method: Method;
  /** `/v1/runs/{run_id}`; parameters are fields of the input. */
  readonly path: string;
  /** The scope a credential needs; null: open to everybody. */
  readonly scope: string | null;
  /** This one suffices too; the operation then says for what. */
  readonly orScope?: string;
  readonly tags: readonly string[];
  /** Default 200. */
  readonly status?: number;
  /** Further statuses of success, by what they mean. */
  readonly statuses?: Readonly<Record<number, string>>;
  /** The input field that is the whole body; default: every field that is not in the path is one of the body's. */
  readonly body?: string;
  /** Default: true for POST and PUT unless every body field is optional. */
  readonly bodyRequired?: boolean;
  /** It changes nothing although its method is not GET. All others but GET take Idempotency-Key. */
  readonly readOnly?: true;
  /** What it makes gets its id from the idempotency key (unless this field names it), and is found as it is now. */
  readonly madeByKey?: { readonly unless?: string };
  /** Content type of the streamed form, when there is one. */
  readonly streams?: string;
  /** An example body for the OpenAPI document. */
  readonly example?: unknown;
  /** Input fields that come from the query although there is a body. */
  readonly query?: readonly string[];
  /** Unknown fields and query parameters are left out, not refused. */
  readonly lenient?: boolean;
}

export interface OperationSpec<I extends z.ZodObject, O extends z.ZodType> extends Described {
  readonly input: I;
  readonly output: O;
  handle(ctx: OperationContext, input: z.output<I>): Promise<z.input<O>>;
  /** The streamed form; null: answer with `handle`. */
  stream?(ctx: OperationContext, input: z.output<I>, request: StreamRequest): Promise<Streamed | null>;
}

export interface Operation extends Described {
  readonly input: z.ZodObject;
  readonly output: z.ZodType;
  /** Throws what `run` would throw of scope and input; does nothing. */
  check(ctx: OperationContext, input: unknown): void;
  /** Checks the scope and the input, then handles. Throws TroupeError. */
  run(ctx: OperationContext, input: unknown): Promise<unknown>;
  stream?(ctx: OperationContext, input: unknown, request: StreamRequest): Promise<Streamed | null>;
}

/** Makes an operation; types of `handle` follow from the schemas. */
export function defineOperation<I extends z.ZodObject, O extends z.ZodType>(spec: OperationSpec<I, O>): Operation {
  const { handle, stream, ...described } = spec;
  const admit = (ctx: OperationContext, input: unknown): z.output<I> => {
    const { scope, orScope } = spec;
    const suffices = orScope !== undefined && permits(ctx.credential.scopes, orScope);
    if (scope !== null && !suffices) requireScope(ctx.credential, scope);
    const parsed = spec.input.safeParse(input);
    if (!parsed.success) throw invalid("The request is not valid", zodProblems(parsed.error));
    return parsed.data;
  };
  const operation: Operation = {
    ...described,
    check: (ctx, input) => void admit(ctx, input),
    run: async (ctx, input) => handle(ctx, admit(ctx, input)),
  };
  if (stream === undefined) return operation;
  return { ...operation, stream: async (ctx, input, request) => stream(ctx, admit(ctx, input), request) };
}

/** Names in braces of a path, in order. */
export function pathParameters(path: string): string[] {
  return [...path.matchAll(/\{([a-z_]+)\}/g)].map((m) => m[1] as string);
}

/** Free JSON: kept as it is, not copied (a copy would lose odd keys). */
export const freeJson = z.unknown();

/** A JSON object kept as it is. */
export const freeObject = z
  .custom<Record<string, unknown>>(
    (v) => typeof v === "object" && v !== null && !Array.isArray(v),
    "expected an object",
  )
  .meta({ type: "object", additionalProperties: true });

/** `limit` and `cursor` of every list. */
export const pageFields = {
  limit: z.int().min(1).max(200).default(50).describe("Entries per page."),
  cursor: z.string().min(1).max(2000).optional().describe("`next_cursor` of the page before."),
};
