/**
 * Contract 003's StreamingChat: one session, its messages answered one after the other, events as they come.
 * PAUSE holds the events back (the run goes on, nothing is lost), RESUME lets them go, CANCEL stops the run, RESET
 * forgets the conversation.
 */
import { EventType } from "@ag-ui/core";
import { TroupeError } from "../../../machines/errors.ts";
import { agUiRun } from "../../ag-ui/run.ts";
import { asTroupeError, errorBody } from "../../errors.ts";
import { type AnyMessage, unpackAny } from "../any.ts";
import type { CallContext } from "../calls.ts";
import { requireScopeOf } from "../calls.ts";
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
  #paused: Promise<void> | undefined;
  #resume: (() => void) | undefined;

  constructor(ctx: CallContext, send: Send) {
    this.#ctx = ctx;
    this.#send = send;
    ctx.signal.addEventListener("abort", () => this.#gone.abort(ctx.signal.reason), { once: true });
  }

  async take(request: ChatRequest): Promise<void> {
    if (request.init) await this.#init(request.init);
    else if (request.message) this.#message(request.message);
    else if (request.control) await this.#control(request.control);
    else throw new TroupeError("invalid_input", "A chat request is init, message or control");
  }

  async finished(): Promise<void> {
    this.#release();
    await this.#turns;
  }

  close(): void {
    this.#release();
    if (!this.#gone.signal.aborted && this.#ctx.signal.aborted) this.#gone.abort();
  }

  async #init(init: NonNullable<ChatRequest["init"]>): Promise<void> {
    if (this.#id !== undefined) throw new TroupeError("conflict", "This chat has begun already");
    const ctx = this.#ctx;
    const state = unpackAny(init.initial_state);
    const id = init.session_id === "" ? `ses_${ctx.runtime.newId()}` : init.session_id;
    const create = {
      session_id: id,
      tools: init.tools.map(toTool),
      context: init.context.map(({ description, value }) => ({ description, value })),
      ...(state === undefined ? {} : { state }),
    };
    await ctx.run("sessions.create", create).catch(async (error: unknown) => {
      // A conversation that is there already goes on; tools join it.
      if (!(error instanceof TroupeError) || error.code !== "already_exists") throw error;
      if (create.tools.length > 0) {
        await ctx.run("sessions.register_tools", { session_id: id, tools: create.tools, replace: true });
      }
    });
    this.#id = id;
    this.#agent = init.agent === "" ? undefined : init.agent;
    await this.#send({ init: { chat_id: id, success: true, error_message: "" } });
  }

  #known(chatId: string): string {
    if (this.#id === undefined) throw new TroupeError("conflict", "A chat begins with init");
    if (chatId !== "" && chatId !== this.#id) throw new TroupeError("not_found", `There is no chat ${chatId} here`);
    return this.#id;
  }

  #message({ chat_id, message }: NonNullable<ChatRequest["message"]>): void {
    const id = this.#known(chat_id);
    if (message === null) throw new TroupeError("invalid_input", "message.message is required");
    this.#turns = this.#turns.then(() => this.#turn(id, message));
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
      const { events } = await agUiRun(ctx, input, this.#agent, this.#gone.signal);
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
    if (action === "CANCEL") await this.#ctx.run("sessions.cancel", { session_id: id });
    if (action === "RESET") {
      await this.#ctx.run("sessions.reset", { session_id: id });
      await this.#turns;
    }
    await this.#status("ACTIVE", action === "RESUME" ? "" : action.toLowerCase());
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
