/**
 * One call's beginning, the same for every method: who calls, under which limits, until when, and what it may use.
 * Owns no streams (calls.ts) and no count of open calls (open-calls.ts).
 */
import { Metadata, type ServerUnaryCall } from "@grpc/grpc-js";
import { TroupeError } from "../../machines/errors.ts";
import { type Admissions, admittedToAll } from "../auth/admission.ts";
import type { Presented } from "../auth/authenticator.ts";
import { requireScope } from "../auth/credential.ts";
import { noCertificates, presented } from "../auth/presented.ts";
import { checkIdempotencyKey } from "../idempotency.ts";
import { runOnce } from "../once.ts";
import type { Operation, OperationContext, Services } from "../operation.ts";
import type { OpenCalls } from "./open-calls.ts";

export interface GrpcParts {
  readonly services: Services;
  readonly admissions: Admissions;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly baseUrl: string;
  readonly open: OpenCalls;
  /** This machine's wall clock, by which deadlines of calls are counted. */
  wallNow(): number;
}

/** What the four kinds of calls have in common. */
export type AnyCall = Pick<
  ServerUnaryCall<unknown, unknown>,
  "metadata" | "getDeadline" | "getPath" | "getAuthContext" | "sendMetadata" | "cancelled"
> & { on(event: "cancelled", listener: () => void): unknown };

export interface CallContext extends OperationContext {
  readonly metadata: Metadata;
  /** Aborted when the client cancels, its deadline passes or it reads too slowly; with `closing`, by the server. */
  readonly signal: AbortSignal;
  /** Runs an operation of the table with the caller's own credential; `key`: an idempotency key of the message. */
  run<R>(name: string, input: unknown, key?: string): Promise<R>;
}

const text = (metadata: Metadata, name: string): string => String(metadata.get(name)[0] ?? "");

/** A client's own, when it is short visible ASCII. */
export function correlationIdOf(parts: GrpcParts, call: AnyCall): string {
  const given = text(call.metadata, "x-correlation-id");
  return /^[\x21-\x7e]{1,128}$/.test(given) ? given : parts.services.runtime.newId();
}

/** `all`: a method that everybody may call, as HTTP's health is. Throws `unauthenticated`, `rate_limited`, `unavailable` when the server closes, and what an authenticator throws. */
export async function beginCall(
  parts: GrpcParts,
  call: AnyCall,
  correlationId: string,
  abort: AbortController,
  admits: "credentials" | "all" = "credentials",
): Promise<CallContext> {
  call.on("cancelled", () => abort.abort("cancelled"));
  if (call.cancelled) abort.abort("cancelled");
  if (parts.open.closing) throw new TroupeError("unavailable", "This node is stopping");
  const admitted = admits === "all" ? admittedToAll : await parts.admissions.admit(presentedBy(call));
  call.sendMetadata(metadataOf(admitted.headers, correlationId));
  if (admitted.refused !== undefined) throw admitted.refused;
  const key = text(call.metadata, "idempotency-key");
  if (key !== "") checkIdempotencyKey(key);
  const { services } = parts;
  const context: CallContext = {
    ...services,
    limits: { ...services.limits, askTimeoutMs: askTimeoutOf(parts, call) },
    credential: admitted.credential,
    correlationId,
    baseUrl: parts.baseUrl,
    ...(key === "" ? {} : { idempotencyKey: key }),
    metadata: call.metadata,
    signal: abort.signal,
    run: async <R>(name: string, input: unknown, idempotencyKey = "") => {
      const operation = parts.operations.get(name);
      if (operation === undefined) throw new TroupeError("internal", `there is no operation ${name}`);
      if (idempotencyKey !== "") checkIdempotencyKey(idempotencyKey);
      const ctx = idempotencyKey === "" ? context : { ...context, idempotencyKey };
      return (await runOnce(operation, ctx, input)) as R;
    },
  };
  return context;
}

/** A key or token in the metadata; else the certificate that TLS has checked. */
function presentedBy(call: AnyCall): Presented {
  const { metadata } = call;
  const shown = { apiKey: text(metadata, "x-api-key"), authorization: text(metadata, "authorization") };
  const { token } = presented(shown, noCertificates);
  const certificate = call.getAuthContext()?.sslPeerCertificate?.raw;
  if (token !== undefined || certificate === undefined) return { token };
  return { certificate: `:${certificate.toString("base64")}:` };
}

/** What HTTP says in headers: the rate limit, and the id to ask about. */
function metadataOf(headers: readonly (readonly [string, string])[], correlationId: string): Metadata {
  const metadata = new Metadata();
  metadata.set("x-correlation-id", correlationId);
  for (const [name, value] of headers) metadata.set(name.toLowerCase(), value);
  return metadata;
}

/** What is asked for after the deadline is not done any more. */
function askTimeoutOf(parts: GrpcParts, call: AnyCall): number {
  const { askTimeoutMs } = parts.services.limits;
  const leftMs = Number(call.getDeadline()) - parts.wallNow();
  return Number.isFinite(leftMs) ? Math.max(1, Math.min(askTimeoutMs, leftMs)) : askTimeoutMs;
}

/** For what is no operation of the table. Throws `forbidden`. */
export function requireScopeOf(ctx: CallContext, scope: string): void {
  requireScope(ctx.credential, scope);
}
