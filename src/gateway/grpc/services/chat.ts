/**
 * Contract 003's StreamingChat: one session, its messages answered one after the other, events as they come.
 * PAUSE holds the events back (the run goes on, nothing is lost), RESUME lets them go, CANCEL stops this chat's run
 * and drops the messages that wait, RESET forgets the conversation besides.
 */
import { EventType } from "@ag-ui/core";
import { TroupeError } from "../../../machines/errors.ts";
import { findTarget } from "../../ag-ui/agents.ts";
import { cancelRun } from "../../ag-ui/control.ts";
import { type AgUiRun, agUiRun } from "../../ag-ui/run.ts";
import { asTroupeError, errorBody } from "../../errors.ts";
import type { SessionShape } from "../../operations/sessions.ts";
import { type AnyMessage, unpackAny } from "../any.ts";
import { type CallContext, requireScopeOf } from "../calls.ts";
import { type MessageProto, type ToolProto, toEventResponse, toMessage, toTool } from "./ag-ui-messages.ts";

export interface ChatRequest {
  readonly init?: {
    readonly session_id: string;
    readonly tools: readonly ToolProto[];
    readonly initial_state: AnyMessage | null;
    readonly context: readonly { readonly description: string; readonly value: string }[];
    readonly agent: string;
  } | null;
  readonly message?: { readonly chat_id: string; readonly message: MessageProto | null } | null;
  readonly control?: { readonly chat_id: string; readonly action: "PAUSE" | "RESUME" | "CANCEL" | "RESET" } | null;
}

type Send = (message: object) => Promise<void>;
type Init = NonNullable<ChatRequest["init"]>;

/** Messages of one chat that wait for their turn. */
export const turnsMax = 64;

export async function streamingChat(ctx: CallContext, incoming: AsyncIterable<ChatRequest>, send: Send): Promise<void> {
  requireScopeOf(ctx, "runs:write");
  const chat = new Chat(ctx, send);
  try {
    for await (const request of incoming) await chat.take(request);
    await chat.finished();
  } finally {
    chat.close();
  }
}

class Chat {
  readonly #ctx: CallContext;
  readonly #send: Send;
  readonly #gone = new AbortController();
  #id: string | undefined;
  #agent: string | undefined;
  /** Runs follow one another. */
  #turns: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Counts cancellations: turns of an older one are dropped. */
  #era = 0;
  /** The turn under way, once its run has begun. */
  #begun: Promise<AgUiRun | undefined> = Promise.resolve(undefined);
  #paused: Promise<void> | undefined;
  #resume: (() => void) | undefined;

  constructor(ctx: CallContext, send: Send) {
    this.#ctx = ctx;
    this.#send = send;
    if (ctx.signal.aborted) this.#gone.abort(ctx.signal.reason);
    ctx.signal.addEventListener("abort", () => this.#leave(ctx.signal.reason), { once: true });
  }

  async take(request: ChatRequest): Promise<void> {
    if (request.init) await this.#init(request.init);
    else if (request.message) await this.#message(request.message);
    else if (request.control) await this.#control(request.control);
    else throw new TroupeError("invalid_input", "A chat request is init, message or control");
  }

  /** The client says no more: what it said is answered. */
  async finished(): Promise<void> {
    this.#release();
    await this.#turns;
  }

  close(): void {
    this.#leave("over");
  }

  #leave(reason: unknown): void {
    this.#gone.abort(reason);
    this.#release();
  }

  async #init(init: Init): Promise<void> {
    if (this.#id !== undefined) throw new TroupeError("conflict", "This chat has begun already");
    const id = init.session_id === "" ? `ses_${this.#ctx.runtime.newId()}` : init.session_id;
    const agent = init.agent === "" ? undefined : init.agent;
    try {
      await findTarget(this.#ctx, agent);
      await this.#open(id, init);
    } catch (error) {
      // The contract tells this in the answer, and the client may begin again; other refusals are statuses.
      if (!(error instanceof TroupeError) || error.kind.retryable || error.code === "forbidden") throw error;
      const error_message = errorBody(error, this.#ctx.correlationId).error.message;
      await this.#send({ init: { chat_id: "", success: false, error_message } });
      return;
    }
    this.#id = id;
    this.#agent = agent;
    await this.#send({ init: { chat_id: id, success: true, error_message: "" } });
  }

  /** A conversation that is there already goes on, with its state; tools join it. */
  async #open(id: string, init: Init): Promise<void> {
    const ctx = this.#ctx;
    const state = unpackAny(init.initial_state);
    const create = {
      session_id: id,
      tools: init.tools.map(toTool),
      context: init.context.map(({ description, value }) => ({ description, value })),
      ...(state === undefined ? {} : { state }),
    };
    try {
      await ctx.run("sessions.create", create);
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== "already_exists") throw error;
      const { status } = await ctx.run<SessionShape>("sessions.get", { session_id: id });
      if (status !== "open") throw new TroupeError("conflict", "This session is over");
      if (create.tools.length === 0) return;
      await ctx.run("sessions.register_tools", { session_id: id, tools: create.tools, replace: true });
    }
  }

  #known(chatId: string): string {
    if (this.#id === undefined) throw new TroupeError("conflict", "A chat begins with init");
    if (chatId !== "" && chatId !== this.#id) {
      throw new TroupeError("not_found", `There is no chat ${chatId.slice(0, 200)} here`);
    }
    return this.#id;
  }

  async #message({ chat_id, message }: NonNullable<ChatRequest["message"]>): Promise<void> {
    const id = this.#known(chat_id);
    if (message === null) throw new TroupeError("invalid_input", "message.message is required");
    if (this.#waiting >= turnsMax) return this.#status("ERROR", `${turnsMax} messages wait already; this one was left`);
    const era = this.#era;
    this.#waiting++;
    this.#turns = this.#turns.then(() => {
      this.#waiting--;
      return era === this.#era ? this.#turn(id, message) : this.#status("FINISHED", "cancelled");
    });
  }

  async #turn(id: string, message: MessageProto): Promise<void> {
    const ctx = this.#ctx;
    if (this.#gone.signal.aborted) return;
    const messageId = message.id === "" ? `msg_${ctx.runtime.newId()}` : message.id;
    try {
      const input = {
        threadId: id,
        runId: `chat_${messageId}`,
        protocolVersion: "1.0",
        messages: [toMessage({ ...message, id: messageId, role: message.role === "" ? "user" : message.role })],
        tools: [],
        context: [],
      };
      const beginning = agUiRun(ctx, input, this.#agent, this.#gone.signal, "new");
      this.#begun = beginning.catch(() => undefined);
      const { events } = await beginning;
      let last = "";
      for await (const event of events) {
        await this.#paused;
        await this.#send({ event: toEventResponse(event) });
        last = event.type;
      }
      await this.#status(last === EventType.RUN_ERROR ? "ERROR" : "FINISHED", "");
    } catch (error) {
      const shown = asTroupeError(error, ctx.correlationId, ctx.logger);
      await this.#status("ERROR", errorBody(shown, ctx.correlationId).error.message);
    }
  }

  async #control({ chat_id, action }: NonNullable<ChatRequest["control"]>): Promise<void> {
    const id = this.#known(chat_id);
    if (action === "PAUSE") {
      this.#paused ??= new Promise((resolve) => {
        this.#resume = resolve;
      });
      await this.#status("PAUSED", "");
      return;
    }
    this.#release();
    if (action !== "RESUME") await this.#cancel();
    if (action === "RESET") {
      await this.#ctx.run("sessions.reset", { session_id: id });
      await this.#turns;
    }
    await this.#status("ACTIVE", action === "RESUME" ? "" : action.toLowerCase());
  }

  async #cancel(): Promise<void> {
    this.#era++;
    const run = await this.#begun;
    if (run !== undefined) await cancelRun(this.#ctx, run.session, run.entry.id, "cancelled by the client");
  }

  #release(): void {
    this.#resume?.();
    this.#resume = undefined;
    this.#paused = undefined;
  }

  #status(status: string, message: string): Promise<void> {
    return this.#send({ status: { chat_id: this.#id, status, message } });
  }
}
