/** Chat agents that are cut off: what the next attempt finds, counts and tells; tools and their names. */
import { LLMock } from "@copilotkit/aimock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool } from "../../src/actors/agent.ts";
import { modelChat } from "../../src/builtin/chat/model-chat.ts";
import { Toolbox } from "../../src/builtin/chat/tools/toolbox.ts";
import { createModelClient } from "../../src/builtin/model/client.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import type { Json, JsonObject } from "../../src/machines/effects.ts";
import { collectingContext, runAgent } from "./pipeline.ts";

let mock: LLMock;
beforeEach(async () => {
  mock = new LLMock({ port: 0, host: "127.0.0.1" });
  await mock.start();
});
afterEach(() => mock.stop());

const input = { threadId: "t", runId: "r", messages: [{ id: "u", role: "user", content: "count" }], state: { n: 0 } };
const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const args = (text: string) => ({ toolCalls: [{ id: "c1", name: "count", arguments: text }], usage });

/** A counter in the shared state. */
function agent(onCall: () => void = () => {}) {
  const count = defineTool({
    name: "count",
    parameters: z.object({ by: z.number() }),
    run(ctx, { by }) {
      onCall();
      ctx.setState({ n: (ctx.state as { n: number }).n + by });
      return "counted";
    },
  });
  const settings = { baseUrl: `${mock.url}/v1`, model: "m", promptUsdPerMillion: 1, completionUsdPerMillion: 2 };
  return modelChat(createModelClient(settings, systemClock), new Toolbox([count as never]));
}

describe("an attempt that was cut off", () => {
  /** Every value saved, in order, with its event. */
  function saving(saved: Json = null) {
    const ctx = collectingContext();
    const values: { value: Json; event: string | undefined; data: JsonObject | undefined }[] = [];
    const save = async (value: Json, event?: { name: string; data: JsonObject }) => {
      values.push({ value: JSON.parse(JSON.stringify(value)) as Json, event: event?.name, data: event?.data });
    };
    return { values, ctx: { ...ctx, saved, save } as ReturnType<typeof collectingContext>, kept: ctx.kept };
  }

  it("behind any of its commits, the next goes on: the same messages, state, usage and money in the end", async () => {
    mock.on({ userMessage: "count", hasToolResult: false }, args('{"by":2}'));
    mock.on({ userMessage: "count", hasToolResult: true }, { content: "Two.", usage });
    const whole = saving();
    const { output } = await runAgent(agent(), input, whole.ctx);
    expect(whole.values.map(({ event }) => event)).toEqual(["tool_called", "tool_returned", "message_completed"]);
    expect(output).toMatchObject({ state: { n: 2 } });
    const delta = [{ op: "replace", path: "/n", value: 2 }];
    expect(whole.values[1]?.data).toMatchObject({ content: "counted", state: { delta } });
    expect(whole.kept.cost).toMatchObject({ promptTokens: 20, completionTokens: 10 });
    for (const { value, event } of whole.values) {
      const next = saving(value);
      let called = 0;
      const again = (
        await runAgent(
          agent(() => called++),
          input,
          next.ctx,
        )
      ).output as typeof output;
      expect(next.kept.cost).toEqual(whole.kept.cost);
      // A call that was cut off has changed nothing: it is made again.
      expect(called).toBe(event === "tool_called" ? 1 : 0);
      expect(again).toEqual(output);
    }
  });

  it("tells no change of the state that is none", async () => {
    mock.on({ userMessage: "count", hasToolResult: false }, args('{"by":0}'));
    mock.on({ userMessage: "count", hasToolResult: true }, { content: "None." });
    const one = saving();
    const { output } = await runAgent(agent(), input, one.ctx);
    expect(one.values.filter(({ data }) => data?.state !== undefined)).toEqual([]);
    expect(output).not.toHaveProperty("state");
  });
});

describe("a toolbox", () => {
  const tool = (name: string) => ({ name, parameters: { type: "object" }, run: () => "x" }) as never;

  it("refuses names that are taken, or that no model could use", () => {
    expect(() => new Toolbox([tool("a"), tool("a")])).toThrow("two tools named a");
    expect(() => new Toolbox([tool("no good")])).toThrow("no tool name");
  });

  it("offers the front end's tools beside its own, each name once", () => {
    const offers = new Toolbox([tool("a")]).offers([{ name: "a", description: "theirs" }, { name: "b" }]);
    expect(offers.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(offers[0]).not.toHaveProperty("description");
  });
});
