/**
 * What every method needs: who calls, an operation's context, deadlines, errors; and streams at the pace of their
 * readers. A method itself is a function from message to message; the services are in services/.
 */
import type {
  handleUnaryCall,
  Metadata,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
} from "@grpc/grpc-js";
import { TroupeError } from "../../machines/errors.ts";
import type { Admissions } from "../auth/admission.ts";
import { requireScope } from "../auth/credential.ts";
import { noCertificates, presented } from "../auth/presented.ts";
import type { Operation, OperationContext, Services } from "../operation.ts";
import { toServiceError, toStatus } from "./errors.ts";

export interface GrpcParts {
  readonly services: Services;
  readonly admissions: Admissions;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly baseUrl: string;
}

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getDeadline" | "getPeer"> & {
  on(event: "cancelled", listener: () => void): unknown;
  readonly cancelled: boolean;
};

export interface CallContext extends OperationContext {
  readonly metadata: Metadata;
  /** Aborted when the client cancels, its deadline passes, or the server closes. */
  readonly signal: AbortSignal;
  /** Runs an operation of the table with the caller's own credential; `key`: an idempotency key of the message. */
  run<R>(name: string, input: unknown, key?: string): Promise<R>;
}

const text = (metadata: Metadata, name: string): string => String(metadata.get(name)[0] ?? "");

/** Throws `unauthenticated`, `rate_limited` and what an authenticator throws. */
async function contextOf(parts: GrpcParts, call: AnyCall, correlationId: string): Promise<CallContext> {
  const { metadata } = call;
  const shown = { apiKey: text(metadata, "x-api-key"), authorization: text(metadata, "authorization") };
  const admitted = await parts.admissions.admit(presented(shown, noCertificates));
  if (admitted.refused !== undefined) throw admitted.refused;
  const abort = new AbortController();
  call.on("cancelled", () => abort.abort());
  if (call.cancelled) abort.abort();
  const { services } = parts;
  const deadline = call.getDeadline();
  const leftMs =
    deadline instanceof Date ? deadline.getTime() - services.clock.now() : Number(deadline) - services.clock.now();
  const askTimeoutMs = Number.isFinite(leftMs)
    ? Math.max(1, Math.min(services.limits.askTimeoutMs, leftMs))
    : services.limits.askTimeoutMs;
  const key = text(metadata, "idempotency-key");
  const context: CallContext = {
    ...services,
    limits: { ...services.limits, askTimeoutMs },
    credential: admitted.credential,
    correlationId,
    baseUrl: parts.baseUrl,
    ...(key === "" ? {} : { idempotencyKey: key }),
    metadata,
    signal: abort.signal,
    run: async <R>(name: string, input: unknown, idempotencyKey = "") => {
      const operation = parts.operations.get(name);
      if (operation === undefined) throw new TroupeError("internal", `there is no operation ${name}`);
      return (await operation.run(idempotencyKey === "" ? context : { ...context, idempotencyKey }, input)) as R;
    },
  };
  return context;
}

/** A method with one answer. */
export function unary<I, O>(parts: GrpcParts, fn: (ctx: CallContext, input: I) => Promise<O>): handleUnaryCall<I, O> {
  return (call, callback) => {
    const correlationId = parts.services.runtime.newId();
    const work = async () => fn(await contextOf(parts, call, correlationId), call.request);
    work().then(
      (answer) => callback(null, answer),
      (error) => callback(toServiceError(error, correlationId, parts.services.logger)),
    );
  };
}

/** A method that answers with a stream, written as fast as its reader takes it. */
export function streaming<I, O>(parts: GrpcParts, fn: (ctx: CallContext, input: I) => AsyncIterable<O>) {
  return (call: ServerWritableStream<I, O>): void => {
    const correlationId = parts.services.runtime.newId();
    const work = async (): Promise<void> => {
      const ctx = await contextOf(parts, call, correlationId);
      for await (const message of fn(ctx, call.request)) {
        if (ctx.signal.aborted) return;
        if (!call.write(message)) await drained(call, ctx);
      }
    };
    work().then(
      () => call.end(),
      (error) => call.emit("error", toStatus(error, correlationId, parts.services.logger)),
    );
  };
}

/** A method with streams both ways: `fn` gets what comes, and writes by `send`. */
export function duplex<I, O>(
  parts: GrpcParts,
  fn: (ctx: CallContext, incoming: AsyncIterable<I>, send: (message: O) => Promise<void>) => Promise<void>,
) {
  return (call: ServerDuplexStream<I, O>): void => {
    const correlationId = parts.services.runtime.newId();
    const work = async (): Promise<void> => {
      const ctx = await contextOf(parts, call, correlationId);
      const send = async (message: O): Promise<void> => {
        if (ctx.signal.aborted || call.writableEnded) return;
        if (!call.write(message)) await drained(call, ctx);
      };
      await fn(ctx, call, send);
    };
    work().then(
      () => call.end(),
      (error) => call.emit("error", toStatus(error, correlationId, parts.services.logger)),
    );
  };
}

/** Waits for the reader; one that takes nothing for too long is cut off. */
function drained(call: { once(event: "drain", listener: () => void): unknown }, ctx: CallContext): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = ctx.clock.after(ctx.limits.stallMs, () =>
      reject(new TroupeError("overloaded", "This client reads too slowly; resume from its last event")),
    );
    const done = (): void => {
      timer.cancel();
      resolve();
    };
    call.once("drain", done);
    ctx.signal.addEventListener("abort", done, { once: true });
  });
}

/** For what is no operation of the table. Throws `forbidden`. */
export function requireScopeOf(ctx: CallContext, scope: string): void {
  requireScope(ctx.credential, scope);
}
