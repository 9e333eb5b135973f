/**
 * Agents of the chaos tests: slow, failing, hanging ones. What each attempt does is also written
 * to the file CHAOS_EFFECTS, so that attempts can be counted from outside of Troupe.
 */
import { appendFileSync } from "node:fs";
import { z } from "zod";
import { type AgentContext, defineAgent, TaskError } from "../../src/actors/agent.ts";

/** A line of the file. */
export interface Effect {
  readonly task: string;
  readonly attempt: number;
  readonly phase: "begin" | "end";
}

function effect(ctx: AgentContext, phase: Effect["phase"]): void {
  const line: Effect = { task: ctx.idempotencyKey, attempt: ctx.attempt, phase };
  appendFileSync(process.env.CHAOS_EFFECTS as string, `${JSON.stringify(line)}\n`);
}

/** Takes its time, says so, gives `value` back. */
export const slow = defineAgent({
  type: "chaos-slow",
  concurrency: 16,
  input: z.object({ ms: z.int(), value: z.number() }),
  async run(ctx, { ms, value }) {
    effect(ctx, "begin");
    ctx.progress(0.5, "half");
    ctx.event("tool_called", { tool: "chaos" });
    await ctx.sleep(ms);
    effect(ctx, "end");
    return { value };
  },
});

/** Fails every attempt. */
export const failing = defineAgent({
  type: "chaos-failing",
  concurrency: 16,
  async run(ctx) {
    effect(ctx, "begin");
    await ctx.sleep(20);
    effect(ctx, "end");
    throw new TaskError("it fails", { code: "chaos" });
  },
});

/** Never returns by itself. */
export const hanging = defineAgent({
  type: "chaos-hanging",
  concurrency: 64,
  async run(ctx) {
    effect(ctx, "begin");
    await ctx.sleep(3_600_000);
    return null;
  },
});
