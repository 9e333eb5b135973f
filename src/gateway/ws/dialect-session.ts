/**
 * One WebSocket client that speaks a dialect: JSON objects in and out, taken one after another,
 * bounded. Owns bytes, order and bounds; what messages mean is the dialect's conversation.
 */
import type { FeedEvent } from "../../actors/client.ts";
import type { JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isObject } from "../../machines/json.ts";
import { requireScope } from "../auth/credential.ts";
import type { GatewayLimits } from "../config.ts";
import { asTroupeError } from "../errors.ts";
import { parseJson } from "../json.ts";
import type { LiveListener } from "../live-hub.ts";
import type { OperationContext, Services } from "../operation.ts";
import type { SharedEvent } from "../shared-event.ts";
import { Outbox, type Socket } from "./outbox.ts";
import { closeCodes } from "./protocol.ts";
import type { Connection, SocketProtocol, SocketSession } from "./route.ts";

/** What a conversation is given to work with. */
export interface Link extends Omit<Connection, "operations" | "format"> {
  /** Of the handshake. */
  readonly query: URLSearchParams;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  /** What an operation is given that this client calls. */
  context(): OperationContext;
  /** Runs an operation of the table as this client. Throws TroupeError. */
  run(operation: string, input: object): Promise<unknown>;
  tell(message: object): void;
  /** Tells a failure in the dialect's form; `message`: what it answers. */
  fail(error: unknown, message?: JsonObject): void;
  /** A source that can wait should, until this resolves; undefined while the client reads quickly enough. */
  room(): Promise<void> | undefined;
  /** Bytes that several clients share. */
  push(bytes: Uint8Array): void;
  /** Live events, until the client goes; resolves when they flow. `onEvent` must be quick. */
  subscribe(pattern: string, onEvent: (event: SharedEvent) => void): Promise<() => void>;
  followRoot(root: string, onEvent: (event: FeedEvent) => void): Promise<() => void>;
  /** Live news of one actor, or (`key` null) of all of a type, until the client goes. */
  listen(type: string, key: string | null, onMessage: LiveListener): void;
  /** Called once when the client has gone (at once if it has). */
  onEnd(end: () => void): void;
}

/** A dialect's side of one connection. */
export interface Conversation {
  /** One message; those that follow wait until it resolves. Throws TroupeError. */
  receive(message: JsonObject): Promise<void> | void;
  /** The dialect's form of an error; `message`: what it answers, if that could be read. */
  fault(error: TroupeError, message: JsonObject | undefined): object;
}

/** Begins a conversation: tells what the dialect says first. */
export type Converse = (link: Link) => Conversation;

export interface Dialect {
  readonly name: string;
  readonly path: string;
  readonly converse: Converse;
}

/** Up to so many times the bound is read, so that a message that is too large can be answered. */
const wireSlack = 4;

export function dialectProtocol({ name, path, converse }: Dialect, limits: GatewayLimits): SocketProtocol {
  return {
    name,
    path,
    formats: ["json"],
    wireBytesMax: limits.wsMessageBytesMax * wireSlack,
    open: (socket, connection) => new DialectSession(socket, connection, converse),
  };
}

class DialectSession implements SocketSession {
  private readonly connection: Connection;
  private readonly services: Services;
  private readonly outbox: Outbox;
  private readonly conversation: Conversation;
  private readonly ends: (() => void)[] = [];
  private readonly gone = new AbortController();
  /** Resolves when the socket has room again. */
  private full: { readonly room: Promise<void>; readonly end: () => void } | undefined;
  private readonly waiting: (JsonObject | TroupeError)[] = [];
  private busy = false;
  private ended = false;

  constructor(socket: Socket, connection: Connection, converse: Converse) {
    this.connection = connection;
    this.services = connection.services;
    this.outbox = new Outbox(socket, false, this.services.limits.wsBufferBytesMax, () => this.tooSlow());
    this.conversation = converse(this.link());
  }

  receive(bytes: Uint8Array): void {
    const { wsMessageBytesMax, wsRequestsMax, jsonDepthMax } = this.services.limits;
    if (this.waiting.length >= wsRequestsMax) {
      this.fail(new TroupeError("overloaded", `${wsRequestsMax} messages wait already`), undefined);
      return;
    }
    this.waiting.push(read(bytes, wsMessageBytesMax, jsonDepthMax));
    if (!this.busy) void this.work();
  }

  /** Told at once; in order with the others it would fill the line. */
  refuse(error: TroupeError, bytes: Uint8Array): void {
    const { wsMessageBytesMax, jsonDepthMax } = this.services.limits;
    const message = read(bytes, wsMessageBytesMax, jsonDepthMax);
    this.fail(error, message instanceof TroupeError ? undefined : message);
  }

  drained(): void {
    if (this.outbox.congested()) return;
    this.full?.end();
    this.full = undefined;
  }

  closed(): void {
    this.outbox.closed();
    this.end();
  }

  close(code: number, reason: string): void {
    this.end();
    this.outbox.close(code, reason);
  }

  /** One after another: what a client sent first takes effect first. */
  private async work(): Promise<void> {
    this.busy = true;
    for (let next = this.waiting.shift(); next !== undefined && !this.ended; next = this.waiting.shift()) {
      const message = next instanceof TroupeError ? undefined : next;
      try {
        if (next instanceof TroupeError) throw next;
        await this.conversation.receive(next);
      } catch (error) {
        this.fail(error, message);
      }
    }
    this.busy = false;
  }

  private fail(thrown: unknown, message: JsonObject | undefined): void {
    const error = asTroupeError(thrown, this.connection.correlationId, this.services.logger);
    this.outbox.push(encode(this.conversation.fault(error, message)));
  }

  private end(): void {
    this.ended = true;
    this.gone.abort();
    this.full?.end();
    this.full = undefined;
    for (const end of this.ends.splice(0)) end();
  }

  private room(): Promise<void> | undefined {
    if (this.ended || !this.outbox.congested()) return this.full?.room;
    if (this.full === undefined) {
      const stall = this.services.clock.after(this.services.limits.stallMs, () => this.tooSlow());
      let end = (): void => undefined;
      const room = new Promise<void>((resolve) => {
        end = () => {
          stall.cancel();
          resolve();
        };
      });
      this.full = { room, end };
    }
    return this.full.room;
  }

  private tooSlow(): void {
    const { logger, limits } = this.services;
    logger.warn({ correlation_id: this.connection.correlationId }, "a slow WebSocket client is closed");
    this.end();
    const error = new TroupeError("overloaded", "This client reads too slowly", {
      buffer_bytes_max: limits.wsBufferBytesMax,
    });
    this.outbox.close(closeCodes.tryAgainLater, "too slow", encode(this.conversation.fault(error, undefined)));
  }

  private link(): Link {
    const { operations, format: _, ...known } = this.connection;
    const onEnd = (end: () => void): void => {
      if (this.ended) end();
      else this.ends.push(end);
    };
    const live = async (begin: () => Promise<() => void>): Promise<() => void> => {
      requireScope(known.credential, "events:read");
      const stop = await begin();
      onEnd(stop);
      return stop;
    };
    const context = (): OperationContext => ({ ...contextOf(known), signal: this.gone.signal });
    return {
      ...known,
      signal: this.gone.signal,
      context,
      room: () => this.room(),
      onEnd,
      tell: (message) => this.outbox.push(encode(message)),
      fail: (error, message) => this.fail(error, message),
      push: (bytes) => this.outbox.push(bytes),
      subscribe: (pattern, onEvent) => live(() => known.services.hub.subscribe(pattern, onEvent)),
      followRoot: (root, onEvent) => live(() => known.services.hub.followRoot(root, onEvent)),
      listen: (type, key, onMessage) => onEnd(known.services.liveHub.listen(type, key, onMessage)),
      run: async (name, input) => {
        const operation = operations.get(name);
        if (operation === undefined) throw new Error(`there is no operation ${name}`);
        await known.request();
        return operation.run(context(), input);
      },
    };
  }
}

function contextOf(known: Omit<Connection, "operations" | "format">): OperationContext {
  const { services, credential, baseUrl, correlationId } = known;
  return { ...services, credential, baseUrl, correlationId };
}

const encode = (message: object): Buffer => Buffer.from(JSON.stringify(message));

/** The message, or what is wrong with it. */
function read(bytes: Uint8Array, bytesMax: number, depthMax: number): JsonObject | TroupeError {
  if (bytes.byteLength > bytesMax) {
    return new TroupeError("too_large", `The message is larger than ${bytesMax} bytes`, { bytes_max: bytesMax });
  }
  try {
    const value = parseJson(bytes, depthMax);
    return isObject(value) ? value : new TroupeError("invalid_input", "The message is not a JSON object");
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    const { code, message, details } = error;
    return new TroupeError(
      code,
      message.replace(/^The body is not JSON:/, "Invalid JSON:").replace(/^The body/, "The message"),
      details,
    );
  }
}

/** Makes an event's message once for all who are told it in the same words; null: nothing is told. */
export function sharedMessage<E extends object>(map: (event: E) => object | null): (event: E) => Buffer | null {
  const made = new WeakMap<E, { readonly bytes: Buffer | null }>();
  return (event) => {
    const known = made.get(event);
    if (known !== undefined) return known.bytes;
    const message = map(event);
    const bytes = message === null ? null : encode(message);
    made.set(event, { bytes });
    return bytes;
  };
}
