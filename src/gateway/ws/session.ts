/**
 * One WebSocket client: its subscriptions, its waiting requests, what it is told. Knows the
 * protocol, not the server; the socket is handed in.
 */

import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { requireScope } from "../auth/credential.ts";
import { asTroupeError, errorBody, invalid, zodProblems } from "../errors.ts";
import { checkIdempotencyKey } from "../idempotency.ts";
import { runOnce } from "../once.ts";
import type { OperationContext, Services } from "../operation.ts";
import { decodeMessage, encodeMessage } from "./codec.ts";
import { Outbox, type Socket } from "./outbox.ts";
import { type ClientMessage, clientMessage, closeCodes, isAgentSubject } from "./protocol.ts";
import type { Connection, SocketSession } from "./route.ts";
import { Servings } from "./servings.ts";
import { Subscriptions } from "./subscriptions.ts";

type Message<T extends ClientMessage["type"]> = Extract<ClientMessage, { type: T }>;

export class Session implements SocketSession {
  private readonly options: Connection;
  private readonly services: Services;
  private readonly outbox: Outbox;
  private readonly subscriptions: Subscriptions;
  private readonly servings: Servings;
  private requests = 0;

  constructor(socket: Socket, options: Connection) {
    this.options = options;
    this.services = options.services;
    const { limits } = options.services;
    this.outbox = new Outbox(socket, options.format === "msgpack", limits.wsBufferBytesMax, () => this.tooSlow());
    this.subscriptions = new Subscriptions({
      services: options.services,
      format: options.format,
      push: (bytes) => this.outbox.push(bytes),
      tell: (message) => this.tell(message),
      congested: () => this.outbox.congested(),
      tooSlow: () => this.tooSlow(),
      fail: (id, error) => this.fail(id, error),
    });
    this.servings = new Servings({
      context: () => this.context(),
      tell: (message) => this.tell(message),
      fail: (id, error) => this.fail(id, error),
    });
  }

  /** One message of the client. The bytes are only valid during the call. */
  receive(bytes: Uint8Array): void {
    let id: string | undefined;
    try {
      const message = this.parse(bytes, (found) => (id = found));
      id = message.id;
      this.perform(message);
    } catch (error) {
      this.fail(id, error);
    }
  }

  refuse(error: TroupeError, bytes: Uint8Array): void {
    let id: string | undefined;
    try {
      id = this.parse(bytes, (found) => (id = found)).id;
    } catch {
      // What is wrong with it does not matter now.
    }
    this.fail(id, error);
  }

  drained(): void {
    this.subscriptions.resume();
  }

  closed(): void {
    this.outbox.closed();
    this.stop();
  }

  close(code: number, reason: string): void {
    this.stop();
    this.outbox.close(code, reason);
  }

  private stop(): void {
    this.subscriptions.stop();
    this.servings.stop();
  }

  private parse(bytes: Uint8Array, onId: (id: string) => void): ClientMessage {
    const value = decodeMessage(this.options.format, bytes, this.services.limits.jsonDepthMax);
    if (typeof value === "object" && value !== null && "id" in value) {
      const given: unknown = value.id;
      if (typeof given === "string" || typeof given === "number") onId(String(given).slice(0, 128));
    }
    const parsed = clientMessage.safeParse(value);
    if (!parsed.success) throw invalid("The message is not valid", zodProblems(parsed.error));
    return parsed.data;
  }

  private perform(message: ClientMessage): void {
    if (message.type === "ping") this.tell({ type: "pong", ...(message.id !== undefined && { id: message.id }) });
    else if (message.type === "request") this.request(message);
    else if (message.type === "publish") this.publish(message);
    else if (message.type === "subscribe") {
      requireScope(this.options.credential, "events:read");
      this.subscriptions.subscribe(message);
    } else if (message.type === "serve") this.servings.begin(message.id, message.agent_id);
    else {
      if (this.servings.has(message.id)) this.servings.end(message.id);
      else this.subscriptions.unsubscribe(message.id);
      this.tell({ type: "unsubscribed", id: message.id });
    }
  }

  private publish(message: Message<"publish">): void {
    requireScope(this.options.credential, "agents:write");
    this.services.runtime.publish(agentSubject(message.subject), message.data as Json);
    if (message.id !== undefined) this.tell({ type: "reply", id: message.id, result: null });
  }

  private request(message: Message<"request">): void {
    const { wsRequestsMax } = this.services.limits;
    if (this.requests >= wsRequestsMax) {
      throw new TroupeError("overloaded", `${wsRequestsMax} requests of this connection are waiting already`);
    }
    this.requests++;
    this.answer(message)
      .then(
        (result) => this.tell({ type: "reply", id: message.id, result: result ?? null }),
        (error) => this.fail(message.id, error),
      )
      .finally(() => this.requests--);
  }

  private async answer(message: Message<"request">): Promise<unknown> {
    const { services, credential } = this.options;
    const askTimeoutMs = message.timeout_ms ?? services.limits.askTimeoutMs;
    if ((message.operation === undefined) === (message.subject === undefined)) {
      throw invalid("The message is not valid", [{ path: "operation", message: "give either operation or subject" }]);
    }
    if (message.subject !== undefined) {
      requireScope(credential, "agents:write");
      return services.runtime.request(agentSubject(message.subject), (message.data ?? null) as Json, askTimeoutMs);
    }
    const operation = this.options.operations.get(message.operation as string);
    if (operation === undefined) throw new TroupeError("not_found", `There is no operation '${message.operation}'`);
    if (message.idempotency_key !== undefined) checkIdempotencyKey(message.idempotency_key);
    await this.options.request();
    const limits = { ...services.limits, askTimeoutMs };
    const ctx = { ...this.context(), limits, idempotencyKey: message.idempotency_key };
    return runOnce(operation, ctx, message.input ?? {});
  }

  private context(): OperationContext {
    const { services, credential, baseUrl, correlationId } = this.options;
    return { ...services, credential, baseUrl, correlationId };
  }

  private tell(message: object): void {
    this.outbox.push(encodeMessage(this.options.format, message));
  }

  private fail(id: string | undefined, thrown: unknown): void {
    this.tell(this.errorMessage(id, thrown));
  }

  private errorMessage(id: string | undefined, thrown: unknown): object {
    const { correlationId } = this.options;
    const error = asTroupeError(thrown, correlationId, this.services.logger);
    return { type: "error", ...(id !== undefined && { id }), ...errorBody(error, correlationId) };
  }

  /** Told and closed: its buffer is full, or it took nothing for too long. */
  private tooSlow(): void {
    const { logger, limits } = this.services;
    logger.warn({ correlation_id: this.options.correlationId }, "a slow WebSocket client is closed");
    this.stop();
    const error = new TroupeError("overloaded", "This client reads too slowly; resume from its last cursor", {
      buffer_bytes_max: limits.wsBufferBytesMax,
    });
    const last = encodeMessage(this.options.format, this.errorMessage(undefined, error));
    this.outbox.close(closeCodes.tryAgainLater, "too slow", last);
  }
}

function agentSubject(subject: string): string {
  if (isAgentSubject(subject)) return subject;
  throw invalid("The message is not valid", [
    { path: "subject", message: "must be agent.<type>.<operation>, without wildcards" },
  ]);
}
