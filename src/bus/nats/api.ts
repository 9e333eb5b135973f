/**
 * JetStream's JSON API over raw requests: reads and administration that are harmless to repeat,
 * repeated until a deadline. Owns the meaning of API errors; stores nothing (see store.ts).
 */
import { Buffer } from "node:buffer";
import { BusError } from "../bus.ts";
import type { Clock } from "../clock.ts";
import type { RawReply, Requests } from "./requests.ts";

export interface ApiError {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

/** A message read through the stream's leader. */
export interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly headers: string;
  readonly at: number;
}

const NO_MESSAGE = 10037;
const PAUSE_MS = 50;

export class JetStreamApi {
  constructor(
    readonly requests: Requests,
    readonly clock: Clock,
    /** How long one try may take, and how long to go on trying. */
    private readonly tryMs: number,
    private readonly deadlineMs: number,
  ) {}

  /**
   * Calls `$JS.API.<operation>`. An API error that repeating cannot mend is returned as `error`.
   * Throws BusError `unreachable` when the deadline passes.
   */
  async call(operation: string, body: unknown, deadlineMs = this.deadlineMs): Promise<Record<string, unknown>> {
    const payload = body === undefined ? "" : JSON.stringify(body);
    const msg = await this.repeat(`$JS.API.${operation}`, payload, deadlineMs, (reply) => {
      if (reply.kind !== "reply") return undefined;
      const answer = reply.msg.json<Record<string, unknown>>();
      const error = answer.error as ApiError | undefined;
      // 503: no leader yet, or the cluster is not ready. "Not enabled" stays so.
      return error?.code === 503 && error.err_code !== 10076 && error.err_code !== 10039 ? undefined : answer;
    });
    return msg;
  }

  /** Like `call`, but an API error is thrown as BusError `failed`. */
  async must(operation: string, body: unknown, deadlineMs?: number): Promise<Record<string, unknown>> {
    const answer = await this.call(operation, body, deadlineMs);
    const error = errorOf(answer);
    if (error) throw new BusError("failed", `NATS refused ${operation}: ${error.description} (${error.err_code}).`);
    return answer;
  }

  /** One message as the stream's leader knows it, by sequence or last of a subject (wildcards allowed). */
  async message(stream: string, which: { seq: number } | { last_by_subj: string }): Promise<StoredMessage | null> {
    const answer = await this.call(`STREAM.MSG.GET.${stream}`, which);
    const error = errorOf(answer);
    if (error?.err_code === NO_MESSAGE || error?.code === 404) {
      if (error.err_code === 10059) throw new BusError("failed", `The stream ${stream} does not exist any more.`);
      return null;
    }
    if (error) throw new BusError("failed", `NATS cannot read ${stream}: ${error.description} (${error.err_code}).`);
    const m = answer.message as { subject: string; seq: number; hdrs?: string; data?: string; time: string };
    return {
      subject: m.subject,
      seq: m.seq,
      bytes: m.data === undefined ? new Uint8Array(0) : Buffer.from(m.data, "base64"),
      headers: m.hdrs === undefined ? "" : Buffer.from(m.hdrs, "base64").toString("latin1"),
      at: Date.parse(m.time),
    };
  }

  /** Repeats a request until `take` accepts its reply. */
  async repeat<T>(
    subject: string,
    payload: string,
    deadlineMs: number,
    take: (reply: RawReply) => T | undefined,
  ): Promise<T> {
    const deadline = this.clock.monotonic() + deadlineMs;
    for (;;) {
      const left = deadline - this.clock.monotonic();
      const reply = await this.requests.request(subject, payload, Math.max(1, Math.min(this.tryMs, left)));
      const taken = take(reply);
      if (taken !== undefined) return taken;
      if (this.clock.monotonic() >= deadline) {
        throw new BusError("unreachable", `NATS did not answer ${subject} within ${deadlineMs} ms (${reply.kind}).`);
      }
      await this.clock.sleep(PAUSE_MS);
    }
  }
}

export function errorOf(answer: Record<string, unknown>): ApiError | undefined {
  return answer.error as ApiError | undefined;
}
