/**
 * Contract 001's socket at `/ws` and `/api/v1/ws`: subscriptions, publications, requests and responses, heartbeats
 * and reports; agents get their tasks here. Owns what a connection takes; the words are in map.ts and schema.ts.
 */
import type { JsonObject } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { isObject } from "../../../machines/json.ts";
import { serveAgent } from "../../agents/serve.ts";
import { isOperator, permits, requireAgent } from "../../auth/credential.ts";
import { error001 } from "../../error-shape.ts";
import { invalid, zodProblems } from "../../errors.ts";
import { followInbox } from "../../request-inbox.ts";
import type { Conversation, Link } from "../../ws/dialect-session.ts";
import { rfc3339 } from "../002/map.ts";
import { type CoreTask, toTask } from "../api-v1/task-map.ts";
import { taskWord } from "../api-v1/words.ts";
import type { CoreRequest } from "./map.ts";
import { requestRefusal } from "./map.ts";
import { toRequest, toResponse } from "./socket-map.ts";
import { type Kind, kinds, type Part, schemaOf } from "./socket-schema.ts";
import { TopicSubscriptions } from "./subscriptions.ts";
import { toHeartbeat, toUpdate } from "./work.ts";

export function communicationSocket(link: Link): Conversation {
  return new Communication(link);
}

type Ack = Readonly<Record<string, unknown>>;

class Communication implements Conversation {
  private readonly link: Link;
  private readonly subscriptions: TopicSubscriptions;
  /** Agents that this connection serves. */
  private readonly served = new Set<string>();
  private requests = 0;

  constructor(link: Link) {
    this.link = link;
    this.subscriptions = new TopicSubscriptions(link);
    const { agentId } = link.credential;
    const named = link.query.get("agent_id");
    if (agentId !== undefined) this.serve(agentId);
    if (named !== null && named !== agentId) {
      queueMicrotask(() => {
        try {
          this.own(named);
        } catch (error) {
          link.fail(error);
        }
      });
    }
  }

  async receive(message: JsonObject): Promise<void> {
    const [kind] = kinds.filter((one) => message[one] !== undefined);
    if (kind === undefined || kinds.filter((one) => message[one] !== undefined).length > 1) {
      throw invalid("The message is not valid", [{ path: "", message: `must have one of ${kinds.join(", ")}` }]);
    }
    const parsed = schemaOf(kind).safeParse(message[kind]);
    if (!parsed.success) {
      const problems = zodProblems(parsed.error).map((p) => ({
        ...p,
        path: p.path === "" ? kind : `${kind}.${p.path}`,
      }));
      throw invalid("The message is not valid", problems);
    }
    const { id } = parsed.data as { id?: string | number };
    const ack = await this.perform(kind, parsed.data as never);
    this.link.tell({ ack: { ...(id !== undefined && id !== null && { id }), type: kind, ...ack } });
  }

  fault(error: TroupeError, message: JsonObject | undefined): object {
    const { correlationId, services } = this.link;
    const id = kinds.map((kind) => message?.[kind]).find(isObject)?.id ?? message?.id;
    const shape = error001(error, { correlationId, now: services.runtime.now() });
    return { error: { ...(typeof id === "string" || typeof id === "number" ? { id } : {}), ...shape } };
  }

  private perform(kind: Kind, part: never): Promise<Ack> {
    switch (kind) {
      case "subscription":
        return this.subscribe(part);
      case "unsubscription":
        return this.unsubscribe(part);
      case "publication":
        return this.publish(part);
      case "request":
        return this.request(part);
      case "response":
        return this.respond(part);
      case "heartbeat":
        return this.heartbeat(part);
      case "report":
        return this.report(part);
    }
  }

  private async subscribe(part: Part<"subscription">): Promise<Ack> {
    const agentId = part.agent_id ?? this.link.credential.agentId ?? null;
    if (part.agent_id !== undefined && part.agent_id !== null) this.own(part.agent_id);
    const id = await this.subscriptions.open(agentId, part);
    return { ...(id !== null && { subscription_id: id }), agent_id: agentId, topics: part.topics };
  }

  private async unsubscribe(part: Part<"unsubscription">): Promise<Ack> {
    const topics = await this.subscriptions.close(part.agent_id ?? null, part.topics ?? null);
    return { topics };
  }

  private async publish({ topic, data, attributes, source }: Part<"publication">): Promise<Ack> {
    const input = {
      topic,
      ...(data !== undefined && { data }),
      ...(attributes !== undefined && attributes !== null && { attributes }),
      ...(source !== undefined && source !== null && { source }),
    };
    const { publication_id } = (await this.link.run("publications.publish", input)) as { publication_id: string };
    return { publication_id, topic };
  }

  /** Acknowledged when it is stored; the response comes as a message of its own. */
  private async request(part: Part<"request">): Promise<Ack> {
    const { wsRequestsMax } = this.link.services.limits;
    if (this.requests >= wsRequestsMax) {
      throw new TroupeError("overloaded", `${wsRequestsMax} requests of this connection are waiting already`);
    }
    const { id, type, source, target, correlation_id: correlationId, data, timeout, callback_url: callback } = part;
    const given = { source, correlation_id: correlationId, callback_url: callback };
    const input = {
      request_id: id ?? `req_${this.link.services.runtime.newId()}`,
      target,
      request_type: type,
      data: data ?? null,
      ...(timeout !== undefined && timeout !== null && { timeout_ms: Math.max(1, Math.round(timeout * 1000)) }),
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null)),
    };
    const refused = (error: unknown) => (error instanceof TroupeError ? requestRefusal(error, part) : error);
    const run = (wait: boolean) =>
      this.link.run("requests.create", { ...input, wait }).catch((error: unknown) => Promise.reject(refused(error)));
    const made = (await run(false)) as CoreRequest;
    if (callback === undefined || callback === null) this.await(input.request_id, run(true));
    return { request_id: made.request_id, status: made.status };
  }

  /** The same request again, now waiting: it is the one that was made. */
  private await(requestId: string, waits: Promise<unknown>): void {
    this.requests++;
    waits
      .then(
        (one) => this.link.tell(toResponse(one as CoreRequest)),
        (error) => this.link.fail(error, { request: { id: requestId } }),
      )
      .finally(() => this.requests--);
  }

  private async respond({ id, request_id: requestId, status, data, errors }: Part<"response">): Promise<Ack> {
    const input = {
      request_id: requestId,
      status,
      data: data ?? null,
      errors,
      ...(id !== undefined && id !== null && { response_id: id }),
    };
    await this.link.run("requests.respond", input);
    return { request_id: requestId };
  }

  private async heartbeat(part: Part<"heartbeat">): Promise<Ack> {
    const told = (await this.link.run("agents.heartbeat", toHeartbeat(part))) as {
      readonly agent: { readonly status: string };
      readonly cancelled: readonly string[];
    };
    this.serve(part.agent_id);
    return { agent_id: part.agent_id, status: told.agent.status, cancelled_tasks: told.cancelled };
  }

  private async report(part: Part<"report">): Promise<Ack> {
    const task = (await this.link.run("tasks.update", toUpdate(part))) as { readonly status: string };
    return { task_id: part.task_id, status: taskWord(task.status) };
  }

  /** Throws `forbidden` for another's agent. One that the caller may act for is served here from now on. */
  private own(agentId: string): void {
    const { credential } = this.link;
    if (credential.agentId !== undefined || !isOperator(credential)) requireAgent(this.link.context(), agentId);
    if (permits(credential.scopes, "agents:act") || isOperator(credential)) this.serve(agentId);
  }

  private serve(agentId: string): void {
    if (this.served.has(agentId)) return;
    this.served.add(agentId);
    const { link } = this;
    const { services } = link;
    serveAgent({
      services,
      agentId,
      signal: link.signal,
      onTask: ({ taskId }) => void this.tellTask(agentId, taskId),
      onWithdrawn: (taskId) =>
        link.tell(this.message("task.cancelled", agentId, null, { task_id: taskId, status: "cancelled" })),
      onError: (error) => link.fail(error),
    });
    followInbox({
      runtime: services.runtime,
      hub: services.hub,
      clock: services.clock,
      agentId,
      onRequest: ({ id }) => void this.tellRequest(id),
      onEnded: () => undefined,
      onError: (error) => link.fail(error),
    }).then(
      (inbox) => link.onEnd(() => inbox.stop()),
      (error) => link.fail(error),
    );
  }

  /** The whole task, in the contract's shape. */
  private async tellTask(agentId: string, taskId: string): Promise<void> {
    try {
      const task = toTask((await this.link.run("tasks.get", { task_id: taskId })) as CoreTask);
      this.link.tell(this.message("task.created", agentId, task.parent_workflow_id, task));
    } catch (error) {
      this.link.fail(error);
    }
  }

  private async tellRequest(requestId: string): Promise<void> {
    try {
      this.link.tell(toRequest((await this.link.run("requests.get", { request_id: requestId })) as CoreRequest));
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== "not_found") this.link.fail(error);
    }
  }

  private message(eventType: string, agentId: string, correlationId: string | null, payload: object): object {
    const { runtime } = this.link.services;
    return {
      id: `msg_${runtime.newId()}`,
      timestamp: rfc3339(runtime.now()),
      event_type: eventType,
      source_agent: null,
      target_agent: agentId,
      correlation_id: correlationId,
      payload,
    };
  }
}
