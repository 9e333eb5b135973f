/**
 * How methods are called: with one answer, with a stream at the pace of its reader, or with streams both ways; their
 * errors as statuses, their count and time told. A method itself is a function from message to message (services/).
 */
import {
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerWritableStream,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { TroupeError } from "../../machines/errors.ts";
import { type AnyCall, beginCall, type CallContext, correlationIdOf, type GrpcParts } from "./call-context.ts";
import { toStatus } from "./errors.ts";

export { type CallContext, type GrpcParts, requireScopeOf } from "./call-context.ts";

/** A call under way. */
interface Under {
  readonly parts: GrpcParts;
  readonly abort: AbortController;
  readonly correlationId: string;
  context(admits?: "credentials" | "all"): Promise<CallContext>;
  /** Counts and tells it; with what it threw, the status of that. */
  over(thrown?: { readonly error: unknown }): Partial<StatusObject> | undefined;
}

function begin(parts: GrpcParts, call: AnyCall): Under {
  const { clock, logger, monitor } = parts.services;
  const begun = clock.monotonic();
  const abort = new AbortController();
  const correlationId = correlationIdOf(parts, call);
  const remove = parts.open.add(abort);
  return {
    parts,
    abort,
    correlationId,
    context: (admits) => beginCall(parts, call, correlationId, abort, admits),
    over(thrown) {
      remove();
      const gone = abort.signal.aborted && abort.signal.reason === "cancelled";
      const answer = thrown === undefined || gone ? undefined : toStatus(thrown.error, correlationId, parts.services);
      const took = clock.monotonic() - begun;
      const path = call.getPath();
      const code = gone ? status.CANCELLED : (answer?.status.code ?? status.OK);
      monitor.traffic.answered("POST", path, gone ? 499 : (answer?.http ?? 200), took);
      const fields = { correlation_id: correlationId, method: path, code, ms: Math.round(took * 10) / 10 };
      logger.debug(fields, "gRPC call");
      return answer?.status;
    },
  };
}

const stopping = (): TroupeError => new TroupeError("unavailable", "This node is stopping");

/** A method with one answer. */
export function unary<I, O>(
  parts: GrpcParts,
  fn: (ctx: CallContext, input: I) => Promise<O>,
  admits: "credentials" | "all" = "credentials",
): handleUnaryCall<I, O> {
  return (call, callback) => {
    const under = begin(parts, call);
    const work = async () => fn(await under.context(admits), call.request);
    work().then(
      (answer) => {
        under.over();
        callback(null, answer);
      },
      (error) => {
        const closing = under.abort.signal.reason === "closing";
        callback(under.over({ error: closing ? stopping() : error }) ?? { code: status.CANCELLED });
      },
    );
  };
}

interface Writable<O> {
  readonly writableEnded: boolean;
  write(message: O): boolean;
  end(): unknown;
  once(event: "drain", listener: () => void): unknown;
  off(event: "drain", listener: () => void): unknown;
  emit(event: "error", status: Partial<StatusObject>): boolean;
}

/** A method that answers with a stream, written as fast as its reader takes it. */
export function streaming<I, O>(parts: GrpcParts, fn: (ctx: CallContext, input: I) => AsyncIterable<O>) {
  return (call: ServerWritableStream<I, O>): void => {
    void answer(parts, call, async (ctx, send) => {
      for await (const message of fn(withoutKey(ctx), call.request)) {
        if (ctx.signal.aborted) return;
        await send(message);
      }
    });
  };
}

/** A method with streams both ways: `fn` gets what comes, each message counted as a request, and writes by `send`. */
export function duplex<I, O>(
  parts: GrpcParts,
  fn: (ctx: CallContext, incoming: AsyncIterable<I>, send: (message: O) => Promise<void>) => Promise<void>,
) {
  return (call: ServerDuplexStream<I, O>): void => {
    void answer(parts, call, (ctx, send) => fn(withoutKey(ctx), incomingOf(parts, ctx, call), send));
  };
}

/** A stream has many operations; a key that came with it names none of them. */
function withoutKey({ idempotencyKey: _, ...ctx }: CallContext): CallContext {
  return ctx as CallContext;
}

async function answer<O>(
  parts: GrpcParts,
  call: Writable<O> & AnyCall,
  work: (ctx: CallContext, send: (message: O) => Promise<void>) => Promise<void>,
): Promise<void> {
  const under = begin(parts, call);
  const { signal } = under.abort;
  const ended: (() => void)[] = [];
  try {
    const ctx = await under.context();
    ended.push(parts.open.addStream(ctx.credential), parts.services.monitor.traffic.streamOpened());
    await work(ctx, (message) => write(call, message, ctx, under.abort));
    if (signal.aborted && signal.reason !== "cancelled") throw signal.reason === "closing" ? stopping() : tooSlow();
    under.over();
    call.end();
  } catch (error) {
    const status = under.over({ error: signal.reason === "closing" ? stopping() : error });
    // Of one who has gone nobody hears a status.
    if (status === undefined) call.end();
    else call.emit("error", status);
  } finally {
    for (const end of ended) end();
  }
}

const tooSlow = (): TroupeError =>
  new TroupeError("overloaded", "This client reads too slowly; resume from its last event");

/** Waits for the reader; one that takes nothing for too long is cut off. */
async function write<O>(call: Writable<O>, message: O, ctx: CallContext, abort: AbortController): Promise<void> {
  const { signal } = ctx;
  if (signal.aborted || call.writableEnded || call.write(message)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      timer.cancel();
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = ctx.clock.after(ctx.limits.stallMs, () => abort.abort("stalled"));
    call.once("drain", done);
    signal.addEventListener("abort", done, { once: true });
  });
  if (signal.reason === "stalled") throw tooSlow();
}

/** What the client sends, one after the other; the first was counted when the call began. */
async function* incomingOf<I>(
  parts: GrpcParts,
  ctx: CallContext,
  call: ServerDuplexStream<I, unknown>,
): AsyncGenerator<I> {
  let first = true;
  // The reading side may end long before the answers do.
  const messages = call.iterator({ destroyOnReturn: false }) as AsyncIterable<I>;
  const gone = aborted(ctx.signal);
  const iterator = messages[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), gone]);
    if (next === "aborted" || next.done === true) return;
    if (!first) {
      const { refused } = await parts.admissions.again(ctx.credential);
      if (refused !== undefined) throw refused;
    }
    first = false;
    yield next.value;
  }
}

function aborted(signal: AbortSignal): Promise<"aborted"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("aborted");
    else signal.addEventListener("abort", () => resolve("aborted"), { once: true });
  });
}
