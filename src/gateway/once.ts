/**
 * Done once for its idempotency key: an operation that changes something runs under an actor that remembers who is
 * doing it and, for a day, what was answered. Owns begin, run and finish; what a key means to ids is `idempotency.ts`.
 *
 * Whoever dies in between leaves a lease behind that runs out; then the next one does the operation again.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { address } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { type IdempotencyCommand, type IdempotencyReply, idempotencyType } from "../machines/idempotency/machine.ts";
import { idFromKey } from "./idempotency.ts";
import { hashJson } from "./json.ts";
import type { Operation, OperationContext } from "./operation.ts";

/** Without a sign of life for so long, who began it counts as dead. */
const leaseMs = 15_000;
const renewMs = 5_000;
const lookMsMin = 25;
const lookMsMax = 500;

/** What is kept of an answer. */
interface Answered {
  readonly status?: number;
  readonly notes: readonly (readonly [string, string])[];
  readonly result: Json;
}

/** True for an operation that takes Idempotency-Key: every one that changes something. */
export function takesKey(operation: Operation): boolean {
  return operation.method !== "GET" && operation.readOnly !== true;
}

/** Runs the operation; with an idempotency key at most once, and a repeat gets the first answer. Throws TroupeError. */
export async function runOnce(operation: Operation, ctx: OperationContext, input: unknown): Promise<unknown> {
  const { idempotencyKey: key } = ctx;
  if (key === undefined || !takesKey(operation) || isMadeByKey(operation, input)) return operation.run(ctx, input);
  operation.check(ctx, input);
  return new Once(operation, ctx, input, key).run();
}

/** The same for an answer that is streamed: who repeats it hears it again; another request is refused. */
export async function beginOnce(operation: Operation, ctx: OperationContext, input: unknown): Promise<void> {
  const { idempotencyKey: key } = ctx;
  if (key === undefined || !takesKey(operation)) return;
  operation.check(ctx, input);
  await new Once(operation, ctx, input, key).mark();
}

/** What it makes is found again by its own id: nothing need be kept. */
function isMadeByKey({ madeByKey }: Operation, input: unknown): boolean {
  if (madeByKey === undefined) return false;
  const { unless } = madeByKey;
  return unless === undefined || (input as Record<string, unknown>)[unless] === undefined;
}

class Once {
  private readonly operation: Operation;
  private readonly ctx: OperationContext;
  private readonly input: unknown;
  private readonly id: string;
  private readonly requestHash: string;
  private readonly owner: string;
  private readonly info: string;

  constructor(operation: Operation, ctx: OperationContext, input: unknown, key: string) {
    this.operation = operation;
    this.ctx = ctx;
    this.input = input;
    this.id = idFromKey(ctx.credential.id, `once ${operation.name}`, key);
    this.info = JSON.stringify([ctx.credential.id, operation.name, key]);
    this.requestHash = hashJson(input as Json);
    this.owner = ctx.runtime.newId();
  }

  async run(): Promise<unknown> {
    const sealed = await this.begin();
    if (sealed !== null) return this.replay(sealed);
    const stop = this.renew();
    const { answered, ctx } = recording(this.ctx);
    let result: unknown;
    try {
      result = await this.operation.run(ctx, this.input);
    } catch (error) {
      stop();
      await this.ask({ type: "idempotency.abandon", owner: this.owner }).catch((failure) => this.note(failure));
      throw error;
    }
    stop();
    const answer = answered(result);
    // Who asked hears of what was done, whether or not it can be kept.
    await this.finish(answer).catch((failure) => this.note(failure));
    return result;
  }

  async mark(): Promise<void> {
    const begun = await this.ask(this.beginning());
    if ((begun as unknown as IdempotencyReply).state !== "yours") return;
    await this.ask({ type: "idempotency.finish", owner: this.owner, answer: null });
  }

  /** The answer as it is kept; null: it is to be done now. Throws `idempotency_conflict`, `in_progress`. */
  private async begin(): Promise<Json | null> {
    const { clock, limits, signal } = this.ctx;
    const deadline = clock.monotonic() + limits.askTimeoutMs;
    for (let waitMs = lookMsMin; ; waitMs = Math.min(waitMs * 2, lookMsMax)) {
      const reply = (await this.ask(this.beginning())) as unknown as IdempotencyReply;
      if (reply.state === "yours") return null;
      if (reply.state === "done") return reply.answer;
      if (clock.monotonic() + waitMs > deadline || signal?.aborted === true) {
        throw new TroupeError("in_progress", "A request with this idempotency key is being done");
      }
      await new Promise<void>((resolve) => clock.after(waitMs, resolve));
    }
  }

  private beginning(): IdempotencyCommand {
    return { type: "idempotency.begin", requestHash: this.requestHash, owner: this.owner, leaseMs };
  }

  private renew(): () => void {
    const { clock } = this.ctx;
    const beat = (): void => {
      this.ask({ type: "idempotency.renew", owner: this.owner, leaseMs }).catch((failure) => this.note(failure));
      timer = clock.after(renewMs, beat);
    };
    let timer = clock.after(renewMs, beat);
    return () => timer.cancel();
  }

  private async finish(answer: Answered): Promise<void> {
    const { runtime } = this.ctx;
    const sealed = await runtime.values.offload(this.id, await this.seal(answer));
    await this.ask({ type: "idempotency.finish", owner: this.owner, answer: sealed });
  }

  private async replay(kept: Json): Promise<unknown> {
    const { status, notes, result } = await this.unseal(
      (await this.ctx.runtime.values.load(kept)) as unknown as Sealed,
    );
    if (status !== undefined) this.ctx.setStatus?.(status);
    for (const [name, value] of notes) this.ctx.note?.(name, value);
    this.ctx.note?.("Idempotency-Replayed", "true");
    return result;
  }

  private async ask(command: IdempotencyCommand): Promise<Json> {
    const { runtime, limits } = this.ctx;
    const at = address(idempotencyType, this.id);
    return (await runtime.ask(at, command, { timeoutMs: limits.askTimeoutMs })).reply;
  }

  private note(failure: unknown): void {
    const { logger, correlationId } = this.ctx;
    logger.warn({ correlation_id: correlationId, err: failure }, "an idempotency key could not be kept up to date");
  }

  /**
   * Answers may hold secrets (a new key's): only who knows the credential and the idempotency key reads them back.
   * The key is one of this try alone, so the nonce may be the same for all.
   */
  private async seal(answer: Answered): Promise<Json> {
    const cipher = createCipheriv("aes-256-gcm", await this.secret(this.owner), nonce);
    const text = Buffer.concat([cipher.update(JSON.stringify(answer)), cipher.final(), cipher.getAuthTag()]);
    return { owner: this.owner, text: text.toString("base64") };
  }

  private async unseal({ owner, text }: Sealed): Promise<Answered> {
    const bytes = Buffer.from(text, "base64");
    const decipher = createDecipheriv("aes-256-gcm", await this.secret(owner), nonce);
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    const plain = Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]);
    return JSON.parse(plain.toString()) as Answered;
  }

  private async secret(owner: string): Promise<Buffer> {
    const root = await this.ctx.runtime.secret("idempotency");
    return createHmac("sha256", root)
      .update(JSON.stringify([this.info, owner]))
      .digest();
  }
}

interface Sealed {
  readonly owner: string;
  readonly text: string;
}

const nonce = Buffer.alloc(12);
const tagBytes = 16;

/** The context, and what an operation told beside its result through it. */
function recording(ctx: OperationContext): { ctx: OperationContext; answered: (result: unknown) => Answered } {
  const notes: [string, string][] = [];
  let status: number | undefined;
  return {
    ctx: {
      ...ctx,
      setStatus: (other) => {
        status = other;
        ctx.setStatus?.(other);
      },
      note: (name, value) => {
        notes.push([name, value]);
        ctx.note?.(name, value);
      },
    },
    answered: (result) => ({ ...(status !== undefined && { status }), notes, result: (result ?? null) as Json }),
  };
}
