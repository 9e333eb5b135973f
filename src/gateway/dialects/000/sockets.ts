/**
 * Contract 000's sockets: `/ws/agent/<client_id>/` hears every task, `…/<task_id>/` one, and each
 * hears broadcasts; `/ws/state/<state_type>/<state_id>/` shares one state. Owns what a client hears;
 * the words are in map.ts.
 */
import { z } from "zod";
import { address, isKey, rootOf } from "../../../machines/address.ts";
import type { JsonObject } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { sharedStateType } from "../../../machines/shared-state/machine.ts";
import { requireScope } from "../../auth/credential.ts";
import { invalid, zodProblems } from "../../errors.ts";
import { type Conversation, type Link, sharedMessage } from "../../ws/dialect-session.ts";
import { broadcastOf, clientUpdate, clientUpdateOf, statusWord, updateOf } from "./map.ts";

const name = z.string().min(1).max(200);
const eventTypes = z.array(z.string().min(1).max(128)).min(1).max(64);

const agentMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("task_update"),
    task_id: name,
    status: z.string().min(1).max(64),
    message: z.string().max(16_384).default(""),
  }),
  z.object({
    type: z.literal("agent_command"),
    command: z.string().min(1).max(256),
    params: z.record(z.string(), z.unknown()).default({}),
  }),
  z.object({ type: z.literal("ping") }),
  z.object({ type: z.enum(["subscribe", "unsubscribe"]), event_types: eventTypes }),
]);
type AgentMessage = z.output<typeof agentMessage>;

/** What is told without being asked for. */
const heardAtFirst = ["task_update", "broadcast"];
const eventTypesMax = 256;

const told = sharedMessage(updateOf);
const toldByClients = sharedMessage(clientUpdateOf);
const toldToAll = sharedMessage(broadcastOf);
/** Publications to `system.…`; which of them are for all, `broadcastOf` says. */
const alerts = "event.*.topic.system.>";

/** Fields of unknown messages are named as the published system does. */
function parse<T>(schema: z.ZodType<T>, message: JsonObject, types: readonly string[]): T {
  const parsed = schema.safeParse(message);
  if (parsed.success) return parsed.data;
  const { type } = message;
  if (typeof type !== "string" || !types.includes(type)) {
    throw new TroupeError("invalid_input", `Unknown message type: ${String(type).slice(0, 100)}`);
  }
  const problems = zodProblems(parsed.error);
  const missing = problems.find((problem) => problem.message === "is required");
  throw missing === undefined
    ? invalid("The message is not valid", problems)
    : new TroupeError("invalid_input", `Missing ${missing.path}`, { problems });
}

const agentTypes = ["task_update", "agent_command", "ping", "subscribe", "unsubscribe"];

export function agentSocket(link: Link): Conversation {
  const conversation = new AgentConversation(link);
  void conversation.begin();
  return conversation;
}

class AgentConversation implements Conversation {
  private readonly link: Link;
  private readonly clientId: string;
  private readonly taskId: string | null;
  private readonly heard = new Set(heardAtFirst);
  private ready: Promise<void> | undefined;

  constructor(link: Link) {
    this.link = link;
    this.clientId = link.parameters.client_id as string;
    this.taskId = link.parameters.task_id ?? null;
  }

  /** Listens first, then says that it is connected: nothing that happens from then on is missed. */
  begin(): Promise<void> {
    this.ready ??= this.listen().then(
      () => this.greet(),
      (error) => this.link.fail(error),
    );
    return this.ready;
  }

  private async listen(): Promise<void> {
    const { link, taskId } = this;
    const tell = (bytes: Buffer | null): void => {
      if (bytes !== null && this.heard.has("task_update")) link.push(bytes);
    };
    await link.subscribe(alerts, ({ event }) => {
      const bytes = toldToAll(event);
      if (bytes !== null && this.heard.has("broadcast")) link.push(bytes);
    });
    link.listen("task", taskId, (message) => tell(toldByClients(message)));
    if (taskId === null) await link.subscribe("event.*.task.>", ({ event }) => tell(told(event)));
    else await link.followRoot(rootOf(taskId), (event) => tell(event.key === taskId ? told(event) : null));
  }

  private async greet(): Promise<void> {
    const { link, clientId, taskId } = this;
    const message = `Connected as ${clientId}`;
    link.tell({ type: "connection_established", message, client_id: clientId, task_id: taskId });
    if (taskId !== null && isKey(taskId)) await this.tellCurrent(taskId);
  }

  /** What the task is at now, if there is one: its end may have been before this client came. */
  private async tellCurrent(taskId: string): Promise<void> {
    const found = (await this.link.run("tasks.get", { task_id: taskId }).catch(() => undefined)) as
      | { readonly status: string }
      | undefined;
    if (found === undefined) return;
    const status = statusWord(found.status);
    this.link.tell({
      type: "task_update",
      task_id: taskId,
      status,
      message: `Task is ${found.status}`,
      sender: "system",
    });
  }

  async receive(message: JsonObject): Promise<void> {
    await this.ready;
    this.perform(parse(agentMessage, message, agentTypes));
  }

  private perform(message: AgentMessage): void {
    const { link } = this;
    if (message.type === "ping") link.tell({ type: "pong" });
    else if (message.type === "agent_command") this.command(message.command, message.params);
    else if (message.type === "task_update") this.rebroadcast(message);
    else this.hear(message.type, message.event_types);
  }

  private hear(type: "subscribe" | "unsubscribe", names: readonly string[]): void {
    if (type === "subscribe" && this.heard.size + names.length > eventTypesMax) {
      throw new TroupeError("overloaded", `A client hears at most ${eventTypesMax} types of events`);
    }
    for (const one of names) {
      if (type === "subscribe") this.heard.add(one);
      else this.heard.delete(one);
    }
    this.link.tell({ type: `${type}d`, event_types: names });
  }

  /** Goes to whoever listens to news of this client's agent; the answer says that it has left. */
  private command(command: string, params: Record<string, unknown>): void {
    requireScope(this.link.credential, "agents:write");
    const { runtime } = this.link.services;
    if (isKey(this.clientId)) {
      runtime.announce(address("agent", this.clientId), "client", "commanded", {
        command,
        params: params as JsonObject,
      });
    }
    this.link.tell({ type: "command_received", command, params, message: `Command ${command} received` });
  }

  /** To everybody who watches the task, at every gateway; the task itself is as it was. */
  private rebroadcast({ task_id: taskId, status, message }: Extract<AgentMessage, { type: "task_update" }>): void {
    requireScope(this.link.credential, "tasks:write");
    if (!isKey(taskId)) throw new TroupeError("invalid_input", "Invalid task_id format");
    const data = { status, message, sender: this.clientId };
    this.link.services.runtime.announce(address("task", taskId), "client", clientUpdate, data);
  }

  fault(error: TroupeError): object {
    return { type: "error", message: error.message };
  }
}

const stateMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("update_state"), data: z.record(z.string(), z.unknown()) }),
  z.object({ type: z.literal("get_state") }),
]);

export function stateSocket(link: Link): Conversation {
  const { state_type, state_id } = link.parameters;
  const at = { state_type, state_id };
  let shown = 0;
  const show = (data: unknown): void => link.tell({ type: "state_update", ...at, data });
  /** Each change once, never an older one after a newer. */
  const update = (version: unknown, data: unknown): void => {
    if (typeof version !== "number" || version <= shown) return;
    shown = version;
    show(data);
  };
  link.listen(sharedStateType, `${state_type}:${state_id}`, ({ data }) => update(data.version, data.state));
  const read = async (): Promise<Shared> => (await link.run("shared_state.get", at)) as Shared;
  const ready = read().then(
    ({ version, data }) => update(version, data),
    (error) => link.fail(error),
  );
  return {
    async receive(message) {
      await ready;
      const parsed = parse(stateMessage, message, ["update_state", "get_state"]);
      if (parsed.type === "get_state") {
        const { version, data } = await read();
        shown = Math.max(shown, version);
        show(data);
        return;
      }
      const changed = (await link.run("shared_state.update", { ...at, data: parsed.data })) as Shared;
      update(changed.version, changed.data);
    },
    fault: (error) => ({ type: "error", message: error.message }),
  };
}

interface Shared {
  readonly version: number;
  readonly data: object;
}
