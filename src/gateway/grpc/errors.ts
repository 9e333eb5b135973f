/**
 * The catalogue's errors as gRPC statuses: code, message, and the details as google.rpc.Status with an ErrorInfo in
 * `grpc-status-details-bin` (https://google.aip.dev/193). Owns no error of its own.
 */
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import protobuf from "protobufjs/minimal.js";
import type { TroupeError } from "../../machines/errors.ts";
import { asTroupeError, errorBody } from "../errors.ts";
import type { Services } from "../operation.ts";

export const errorDomain = "troupe";

/** Clients take 8 KiB of trailers (https://grpc.io/docs/guides/metadata/), and the message is in them twice. */
const messageBytesMax = 1_024;
const detailsBytesMax = 2_400;

export interface Answered {
  readonly status: Partial<StatusObject>;
  /** The HTTP status of the same error. */
  readonly http: number;
}

export function toStatus(thrown: unknown, correlationId: string, services: Pick<Services, "logger">): Answered {
  const error = asTroupeError(thrown, correlationId, services.logger);
  const { kind } = error;
  const message = shortened(errorBody(error, correlationId).error.message, messageBytesMax);
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(statusDetails(error, message, correlationId)));
  metadata.set("x-correlation-id", correlationId);
  if (kind.retryable) metadata.set("retry-after", String(error.details?.retry_after ?? 1));
  return { status: { code: kind.grpc, details: message, metadata }, http: kind.status };
}

function statusDetails(error: TroupeError, message: string, correlationId: string): Uint8Array {
  const info = protobuf.Writer.create();
  info.uint32(10).string(error.code.toUpperCase()).uint32(18).string(errorDomain);
  const entries = { correlation_id: correlationId, retryable: String(error.kind.retryable), ...texts(error.details) };
  for (const [key, value] of Object.entries(entries)) {
    info.uint32(26).fork().uint32(10).string(key).uint32(18).string(value).ldelim();
  }
  const whole = protobuf.Writer.create();
  whole.uint32(8).int32(error.kind.grpc).uint32(18).string(message);
  whole.uint32(26).fork().uint32(10).string("type.googleapis.com/google.rpc.ErrorInfo");
  whole.uint32(18).bytes(info.finish()).ldelim();
  return whole.finish();
}

/** Details as the map of texts that an ErrorInfo has; what is over the bound is cut, then left out. */
function texts(details: Readonly<Record<string, unknown>> | undefined): Record<string, string> {
  let left = detailsBytesMax;
  const entries: [string, string][] = [];
  for (const [key, value] of Object.entries(details ?? {})) {
    const room = left - key.length;
    if (room < 16) break;
    const shown = shortened(typeof value === "string" ? value : JSON.stringify(value), room);
    left -= key.length + Buffer.byteLength(shown);
    entries.push([key, shown]);
  }
  return Object.fromEntries(entries);
}

/** At most so many bytes, percent-encoded as a status message is; never half a character. */
function shortened(text: string, bytesMax: number): string {
  const whole = Buffer.from(text).toString();
  if (encodeURI(whole).length <= bytesMax) return whole;
  let bytes = 0;
  let cut = "";
  for (const character of whole) {
    bytes += encodeURI(character).length;
    if (bytes > bytesMax - 9) return `${cut}…`;
    cut += character;
  }
  return cut;
}
