/**
 * Publishing one message to a stream with the expected last sequence of its subject, and what the
 * server's answer means. The same outcomes serve journal, records and registry.
 * Codes: nats-server/server/errors.json.
 */
import { headers as newHeaders } from "@nats-io/transport-node";
import { BusError } from "../bus.ts";
import type { ApiError } from "./api.ts";
import type { RawReply, Requests } from "./requests.ts";

export type StoreOutcome =
  | { readonly kind: "stored"; readonly seq: number }
  | { readonly kind: "refused"; readonly lastSeq: number }
  | { readonly kind: "unknown"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: "full"; readonly reason: string };

/** Header by which the server compares and sets. */
const EXPECTED = "Nats-Expected-Last-Subject-Sequence";
/** Room for headers and protocol within `max_payload`. */
const OVERHEAD_BYTES = 1024;

const WRONG_LAST_SEQUENCE = 10071;
const LEADER_NOT_CAUGHT_UP = 10163;
const WRITE_IN_FLIGHT = 10164;
/** Resources of account, server or stream; each is refused before anything is stored. */
const FULL_CODES = new Set([10002, 10023, 10028, 10047, 10054]);
const STORE_FAILED = 10077;

/** The largest body that the connected server takes. */
export function payloadBytesMax(requests: Requests): number {
  return (requests.nc.info?.max_payload ?? 1024 * 1024) - OVERHEAD_BYTES;
}

/** Never rejects for what the server or the network does; throws BusError for a body that is too large. */
export async function storeMessage(
  requests: Requests,
  subject: string,
  bytes: Uint8Array,
  expectedLastSeq: number,
  timeoutMs: number,
  header?: readonly [string, string],
): Promise<StoreOutcome> {
  const headers = newHeaders();
  headers.set(EXPECTED, String(expectedLastSeq));
  if (header) headers.set(header[0], header[1]);
  let reply: RawReply;
  try {
    reply = await requests.request(subject, bytes, timeoutMs, headers);
  } catch (cause) {
    throw new BusError("failed", `A message of ${bytes.length} bytes cannot be published on ${subject}.`, { cause });
  }
  return classify(reply);
}

/** What an answer (or its absence) to a publish means. */
export function classify(reply: RawReply): StoreOutcome {
  switch (reply.kind) {
    case "no_responders":
      return unknown("no responders: the stream has no leader", 50);
    case "timed_out":
      return unknown("no answer in time", 20);
    case "disconnected":
      return unknown("disconnected", 50);
    case "reply":
      return parseAck(reply.msg.string());
  }
}

/** The server's answer to a publish into a stream. */
export function parseAck(text: string): StoreOutcome {
  let ack: { seq?: number; error?: ApiError };
  try {
    ack = JSON.parse(text) as typeof ack;
  } catch {
    return unknown("the answer is not JSON", 50);
  }
  if (ack.error) return ofError(ack.error);
  return typeof ack.seq === "number" && ack.seq > 0
    ? { kind: "stored", seq: ack.seq }
    : unknown("the answer names no sequence", 50);
}

function ofError({ code, err_code, description }: ApiError): StoreOutcome {
  const reason = `${description} (${err_code})`;
  if (err_code === WRONG_LAST_SEQUENCE) {
    const named = /wrong last sequence: (\d+)/.exec(description);
    // Without the sequence it says nothing about who holds the subject: ask again.
    return named ? { kind: "refused", lastSeq: Number(named[1]) } : unknown(reason, 2);
  }
  if (err_code === WRITE_IN_FLIGHT) return unknown(reason, 2);
  if (err_code === LEADER_NOT_CAUGHT_UP) return unknown(reason, 10);
  if (FULL_CODES.has(err_code)) return { kind: "full", reason };
  if (err_code === STORE_FAILED && /maximum|exceeded|too large/.test(description)) return { kind: "full", reason };
  return unknown(reason, code === 503 || code === 429 ? 100 : 250);
}

function unknown(reason: string, retryAfterMs: number): StoreOutcome {
  return { kind: "unknown", reason, retryAfterMs };
}
