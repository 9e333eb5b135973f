/** The real runtime and gateway with gRPC on a free port, with agents and tools whose pace a test decides. */

import { defineAgent, defineTool } from "../../../src/actors/agent.ts";
import { Progress, Stream } from "../../../src/builtin/chat/progress.ts";
import { chatInputSchema, chatOutputSchema, textOf } from "../../../src/builtin/chat/schema.ts";
import { type AnyAgent, builtInAgents, builtInWorkflows } from "../../../src/builtin/index.ts";
import { createGateway, type Gateway, type GatewayConfig } from "../../../src/gateway/index.ts";
import { type Real, startReal } from "../../gateway/support/real-runtime.ts";
import { realClock } from "../../gateway/support/start.ts";
import { type ServiceName, type Stub, stub } from "./client.ts";

/** Holds an agent back until a test lets it go on. */
export class Gate {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, () => void>();
  /** Names that somebody waits at. */
  readonly reached = new Set<string>();

  open(name: string): void {
    this.#open.add(name);
    this.#waiting.get(name)?.();
  }

  pass(name: string, signal: AbortSignal): Promise<void> {
    this.reached.add(name);
    if (this.#open.has(name)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.set(name, resolve);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }
}

/** Says the words of the last message; at a word `wait:NAME` it waits for the gate. */
function gatedChat(gate: Gate): unknown {
  return defineAgent({
    type: "gated-chat",
    description: "Says the words of the last message.",
    capabilities: ["chat"],
    concurrency: 64,
    input: chatInputSchema,
    output: chatOutputSchema,
    async run(ctx, input) {
      const progress = new Progress(ctx, input);
      if (progress.messages.length > 0) return progress.output();
      const text = textOf(input.messages.findLast(({ role }) => role === "user")?.content);
      const id = progress.nextId();
      const stream = new Stream(ctx, id, "text");
      for (const word of text.split(/(?<=\s)/)) {
        const name = /^wait:(\S+)/.exec(word)?.[1];
        if (name !== undefined) await gate.pass(name, ctx.signal);
        stream.push(word);
      }
      await progress.addText({ id, role: "assistant", content: text }, text);
      return progress.output();
    },
  });
}

interface Talk {
  readonly count: number;
  readonly chars: number;
  /** Waits at the gate `NAME-half` in the middle and at `NAME-end` before its end. */
  readonly gate: string;
}

/** Tells many stored events, first one half, then the other. */
function talker(gate: Gate): unknown {
  return defineAgent<Talk, number>({
    type: "talker",
    capabilities: ["talk"],
    concurrency: 8,
    async run(ctx, { count, chars, gate: name }) {
      for (let i = 0; i < count; i++) {
        if (i === count / 2) await gate.pass(`${name}-half`, ctx.signal);
        const data = { n: i, text: String(i % 10).repeat(chars) };
        if (i % 10 === 9) await ctx.save(i, { name: "model_responded", data });
        else ctx.event("model_responded", data);
      }
      await gate.pass(`${name}-end`, ctx.signal);
      return count;
    },
  });
}

/** Tells of everything that AG-UI has an event for, in steps that a test permits. */
function teller(gate: Gate): unknown {
  return defineAgent<{ gate: string }, { text: string }>({
    type: "teller",
    capabilities: ["tell"],
    async run(ctx, { gate: name }) {
      ctx.event("custom_event", { name: "mood", value: { good: true } });
      const stream = new Stream(ctx, "m1", "text");
      await gate.pass(`${name}-1`, ctx.signal);
      for (const word of ["All ", "is ", "well."]) stream.push(word);
      await ctx.save(1, {
        name: "message_completed",
        data: { messageId: "m1", part: 1, parts: 1, text: "All is well." },
      });
      await gate.pass(`${name}-2`, ctx.signal);
      ctx.event("tool_called", { toolCallId: "c1", tool: "look", arguments: '{"at":"bees"}' });
      ctx.event("tool_returned", { toolCallId: "c1", tool: "look", content: "busy" });
      ctx.event("state_changed", { snapshot: { seen: 1 } });
      ctx.progress(0.5, "half");
      await gate.pass(`${name}-3`, ctx.signal);
      return { text: "told" };
    },
  });
}

const tools = [
  defineTool<{ a: number; b: number }>({
    name: "add",
    parameters: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } }, required: ["a", "b"] },
    run: (_, { a, b }) => ({ sum: a + b }),
  }),
  defineTool({
    name: "fail",
    parameters: { type: "object" },
    run: () => {
      throw new Error("it is broken");
    },
  }),
];

export interface Grpc {
  readonly real: Real;
  readonly gateway: Gateway;
  readonly gate: Gate;
  /** `host:port` of gRPC. */
  readonly at: string;
  /** Of HTTP. */
  readonly base: string;
  readonly logs: { level: string; fields: Record<string, unknown>; message: string }[];
  stub(service: ServiceName): Stub;
  stop(): Promise<void>;
}

export interface GrpcOptions extends Partial<Omit<GatewayConfig, "grpc">> {
  readonly tls?: NonNullable<GatewayConfig["grpc"]>["tls"];
}

export async function startGrpc({ tls, ...config }: GrpcOptions = {}): Promise<Grpc> {
  const gate = new Gate();
  const agents = [
    ...builtInAgents({ tools: tools as never }),
    ...([gatedChat, talker, teller].map((make) => make(gate)) as AnyAgent[]),
  ];
  const real = await startReal(agents, true);
  const logs: Grpc["logs"] = [];
  const log = (level: string) => (fields: object, message: string) =>
    void logs.push({ level, fields: fields as Record<string, unknown>, message });
  const gateway = createGateway({
    runtime: real.runtime,
    clock: realClock,
    logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
    config: {
      host: "127.0.0.1",
      port: 0,
      version: "test",
      grpc: { port: 0, required: true, wallNow: Date.now, ...(tls && { tls }) },
      ...config,
    },
  });
  const base = `http://127.0.0.1:${await gateway.listen()}`;
  const at = `127.0.0.1:${gateway.grpcPort}`;
  const stubs = new Map<ServiceName, Stub>();
  return {
    real,
    gateway,
    gate,
    at,
    base,
    logs,
    stub(service) {
      const made = stubs.get(service) ?? stub(service, at);
      stubs.set(service, made);
      return made;
    },
    async stop() {
      for (const one of stubs.values()) one.close();
      await gateway.close(1_000);
      await real.stop();
    },
  };
}

/** Registers the workflows that come along, as a start does; with a key where one is needed. */
export async function registerWorkflows(base: string, more: readonly object[] = [], key = ""): Promise<void> {
  for (const workflow of [...builtInWorkflows, ...more] as { name: string }[]) {
    const answer = await fetch(`${base}/v1/workflows/${workflow.name}`, {
      method: "PUT",
      headers: { "content-type": "application/json", ...(key === "" ? {} : { "x-api-key": key }) },
      body: JSON.stringify(workflow),
    });
    if (!answer.ok) throw new Error(`${workflow.name}: ${answer.status} ${await answer.text()}`);
  }
}
