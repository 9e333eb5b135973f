/**
 * Chat agent `model-chat`: a conversation with a model. It calls the tools that the node has, hands the front
 * end's tools back, and asks a human where a tool needs approval. Every finished message is saved, so a new
 * attempt goes on behind it. The model's protocol is ../model's.
 */
import { type AgentContext, defineAgent, TaskError } from "../../actors/agent.ts";
import type { Json } from "../../machines/effects.ts";
import { askModel } from "../model/ask.ts";
import type { ModelAnswer, ModelClient } from "../model/client.ts";
import { Progress, Stream } from "./progress.ts";
import { toModelMessages } from "./prompt.ts";
import {
  type ChatInput,
  type ChatOutput,
  chatInputSchema,
  chatOutputSchema,
  type FunctionCall,
  plain,
} from "./schema.ts";
import type { Toolbox } from "./tools/toolbox.ts";

/** Answers of the model in one run; a loop of tool calls ends here. */
export const roundsMax = 32;
const errorCharsMax = 1_000;

export function modelChat(client: ModelClient, toolbox: Toolbox) {
  return defineAgent({
    type: "model-chat",
    description: `A conversation with the model ${client.model}, with tools.`,
    capabilities: ["chat", "model"],
    concurrency: 64,
    input: chatInputSchema,
    output: chatOutputSchema,
    run: (ctx, input) => new Conversation(ctx, input, client, toolbox).run(),
  });
}

class Conversation {
  readonly #ctx: AgentContext;
  readonly #input: ChatInput;
  readonly #client: ModelClient;
  readonly #toolbox: Toolbox;
  readonly #progress: Progress;

  constructor(ctx: AgentContext, input: ChatInput, client: ModelClient, toolbox: Toolbox) {
    this.#ctx = ctx;
    this.#input = input;
    this.#client = client;
    this.#toolbox = toolbox;
    this.#progress = new Progress(ctx, input);
  }

  async run(): Promise<ChatOutput> {
    for (let round = 0; round < roundsMax; round++) {
      const stop = await this.#settleCalls();
      if (stop !== undefined) return stop;
      const last = this.#progress.messages.at(-1);
      if (last?.role === "assistant") return this.#progress.output();
      await this.#answer();
    }
    throw new TaskError(`the model called tools ${roundsMax} times without an answer`, {
      code: "too_many_rounds",
      retryable: false,
    });
  }

  /** Answers the last message's calls as far as this node can; an output when the run has to stop for others. */
  async #settleCalls(): Promise<ChatOutput | undefined> {
    const open = this.#openCalls();
    const pending: ChatOutput["pending"] = [];
    for (const call of open) {
      const { name } = call.function;
      if (!this.#toolbox.has(name)) {
        if (this.#input.tools.some((tool) => tool.name === name)) {
          pending.push({ toolCallId: call.id, name, arguments: call.function.arguments });
        } else await this.#giveResult(call, "", `there is no tool ${name}`);
        continue;
      }
      const approval = this.#progress.approvals[call.id];
      if (this.#toolbox.needsApproval(name) && approval === undefined) return this.#interrupt(call);
      if (approval?.approved === false) {
        await this.#giveResult(call, "", `a human refused the call${approval.note ? `: ${approval.note}` : ""}`);
      } else await this.#callTool(call);
    }
    return pending.length === 0 ? undefined : this.#progress.output({ pending });
  }

  #openCalls(): FunctionCall[] {
    const { messages } = this.#progress;
    const at = messages.findLastIndex(({ role }) => role === "assistant");
    const answered = new Set(messages.slice(at + 1).map(({ toolCallId }) => toolCallId));
    return (messages[at]?.toolCalls ?? []).filter(({ id }) => !answered.has(id));
  }

  #interrupt(call: FunctionCall): ChatOutput {
    const { name, arguments: text } = call.function;
    const message = `Approve the call of ${name}?`;
    return this.#progress.output({ interrupt: { toolCallId: call.id, tool: name, message, arguments: parsed(text) } });
  }

  async #callTool(call: FunctionCall): Promise<void> {
    const { name, arguments: text } = call.function;
    const ctx = this.#ctx;
    let state = this.#progress.state;
    const context = {
      signal: ctx.signal,
      idempotencyKey: `${ctx.idempotencyKey}~${call.id}`,
      toolCallId: call.id,
      sessionId: this.#input.threadId,
      log: (line: string, fields?: Record<string, unknown>) => ctx.log(line, fields),
      get state() {
        return state;
      },
      setState(next: Json) {
        state = plain(next);
      },
    };
    const outcome = await this.#toolbox.call(name, text, context).then(
      (content) => ({ content, error: undefined }),
      (error: unknown) => {
        ctx.signal.throwIfAborted();
        return { content: "", error: error instanceof Error ? error.message : String(error) };
      },
    );
    await this.#giveResult(call, outcome.content, outcome.error, state);
  }

  async #giveResult(call: FunctionCall, content: string, error?: string, state?: Json): Promise<void> {
    const id = this.#progress.nextId();
    const failed = error === undefined ? {} : { error: error.slice(0, errorCharsMax) };
    const message = {
      id,
      role: "tool",
      toolCallId: call.id,
      content: content === "" ? (error ?? "") : content,
      ...failed,
    };
    const { content: said, id: messageId } = message;
    const told = { messageId, toolCallId: call.id, tool: call.function.name, content: said, ...failed };
    await this.#progress.addTold(message, "tool_returned", [told], "content", state);
  }

  /** One answer of the model, streamed, then saved. */
  async #answer(): Promise<void> {
    const ctx = this.#ctx;
    const progress = this.#progress;
    const id = progress.nextId();
    const text = new Stream(ctx, id, "text");
    const reasoning = new Stream(ctx, `${id}_r`, "reasoning");
    const messages = toModelMessages({ ...this.#input, state: progress.state }, progress.messages);
    const tools = this.#toolbox.offers(this.#input.tools);
    const answer = await askModel(ctx, this.#client, {
      messages,
      tools,
      onDelta: (delta, request) => (delta.kind === "text" ? text : reasoning).push(delta.text, request),
    });
    this.#count(answer);
    const calls = answer.toolCalls.map((call, i) => ({
      id: call.id === "" ? `${id}_call_${i + 1}` : call.id,
      type: "function" as const,
      function: { name: call.name, arguments: call.arguments === "" ? "{}" : call.arguments },
    }));
    if (answer.reasoning !== "") progress.tellReasoning(`${id}_r`, answer.reasoning);
    const message = { id, role: "assistant", content: answer.text, ...(calls.length > 0 && { toolCalls: calls }) };
    if (calls.length === 0) await progress.addText(message, answer.text);
    else await this.#addCalls(message, answer.text, calls);
  }

  /** The text first (if any), then each call; saved with the last of them. */
  async #addCalls(
    message: Parameters<Progress["add"]>[0],
    text: string,
    calls: readonly FunctionCall[],
  ): Promise<void> {
    const told = calls.map((call) => ({
      toolCallId: call.id,
      tool: call.function.name,
      arguments: call.function.arguments,
      messageId: message.id,
      frontend: !this.#toolbox.has(call.function.name),
    }));
    if (text !== "") this.#progress.tellText(message.id, text);
    await this.#progress.addTold(message, "tool_called", told, "arguments");
  }

  #count({ usage, model, usd }: ModelAnswer): void {
    const { promptTokens, completionTokens } = usage;
    this.#progress.usage.push({
      model,
      inputTokens: promptTokens,
      outputTokens: completionTokens,
      totalTokens: promptTokens + completionTokens,
      usd,
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
