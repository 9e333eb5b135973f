/**
 * The catalogue's errors as gRPC statuses: code, message, and the details as google.rpc.Status with an ErrorInfo in
 * `grpc-status-details-bin` (https://google.aip.dev/193). Owns no error of its own.
 */
import { Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import protobuf from "protobufjs/minimal.js";
import type { TroupeError } from "../../machines/errors.ts";
import type { GatewayLogger } from "../config.ts";
import { asTroupeError, errorBody } from "../errors.ts";

export const errorDomain = "troupe";

export function toStatus(thrown: unknown, correlationId: string, logger: GatewayLogger): Partial<StatusObject> {
  const error = asTroupeError(thrown, correlationId, logger);
  const { message } = errorBody(error, correlationId).error;
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(statusDetails(error, message, correlationId)));
  metadata.set("x-correlation-id", correlationId);
  if (error.kind.retryable) metadata.set("retry-after", "1");
  return { code: error.kind.grpc as status, details: message, metadata };
}

export function toServiceError(thrown: unknown, correlationId: string, logger: GatewayLogger): Partial<ServiceError> {
  return toStatus(thrown, correlationId, logger) as Partial<ServiceError>;
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

/** Details as the map of texts that an ErrorInfo has. */
function texts(details: Readonly<Record<string, unknown>> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(details ?? {}).map(([key, value]) => [
      key,
      (typeof value === "string" ? value : JSON.stringify(value)).slice(0, 2_000),
    ]),
  );
}

export { status };
