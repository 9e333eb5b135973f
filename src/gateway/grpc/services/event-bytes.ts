/**
 * Messages that carry `typed_event` are put together from bytes that @ag-ui/proto has encoded: proto-loader would
 * need the event taken apart again. Wraps a method's serializer; owns nothing else.
 */
import type { MethodDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs/minimal.js";

type Serialize = (value: object) => Buffer;
interface Carrier {
  readonly typed_event?: Uint8Array;
}

const typedEventField = 2;

/** EventResponse itself. */
export function serializeEvent(serialize: Serialize): Serialize {
  return (value) => {
    const { typed_event, ...rest } = value as Carrier;
    return Buffer.concat([serialize(rest), field(typedEventField, typed_event)]);
  };
}

/** A message with an EventResponse in the field `no` (named `event`); others pass as they are. */
export function serializeInside(serialize: Serialize, serializeEventResponse: Serialize, no: number): Serialize {
  const whole = serializeEvent(serializeEventResponse);
  return (value) => {
    const { event, ...rest } = value as { event?: object };
    if (event === undefined || event === null) return serialize(value);
    return Buffer.concat([serialize(rest), field(no, whole(event))]);
  };
}

/** A length-delimited field; merged into the message by standing behind it. */
function field(no: number, bytes: Uint8Array | undefined): Buffer {
  if (bytes === undefined) return Buffer.alloc(0);
  return Buffer.from(
    protobuf.Writer.create()
      .uint32((no << 3) | 2)
      .bytes(bytes)
      .finish(),
  );
}

/** The definition with another serializer of answers. */
export function withSerializer<D extends MethodDefinition<object, object>>(method: D, serialize: Serialize): D {
  return { ...method, responseSerialize: serialize };
}
