/** Tools and agents written in TypeScript, as `troupe start --agents` loads them; for test/ag-ui. */
import { z } from "zod";
import { defineAgent, defineTool } from "../../../src/index.ts";

export const weather = defineTool({
  name: "weather",
  description: "The weather of a place.",
  parameters: z.object({ city: z.string() }),
  run: (_, { city }) => ({ city, sky: "clear", celsius: 21 }),
});

export const remember = defineTool({
  name: "remember",
  description: "Puts something on the shared list.",
  parameters: z.object({ item: z.string() }),
  run(ctx, { item }) {
    const { items = [] } = (ctx.state ?? {}) as { items?: string[] };
    ctx.setState({ ...(ctx.state as object | null), items: [...items, item] });
    return "noted";
  },
});

export const pay = defineTool({
  name: "pay",
  description: "Pays a bill.",
  parameters: z.object({ usd: z.number() }),
  needsApproval: true,
  run: (_, { usd }) => `paid ${usd}`,
});

export const broken = defineTool({
  name: "broken",
  description: "Fails.",
  parameters: { type: "object" },
  run() {
    throw new Error("the tool is out of order");
  },
});

/** Tells everything that an agent can tell. */
export const showcase = defineAgent({
  type: "showcase",
  capabilities: ["chat"],
  async run(ctx) {
    const messageId = `${ctx.taskId}-m`;
    ctx.event("reasoning_completed", { messageId: `${messageId}-r`, text: "Thinking about it." });
    ctx.event("reasoning_encrypted", { subtype: "message", entityId: `${messageId}-r`, encryptedValue: "c2VjcmV0" });
    ctx.event("activity_changed", {
      messageId: `${messageId}-a`,
      activityType: "PLAN",
      content: { steps: ["look", "tell"] },
    });
    ctx.event("activity_changed", {
      messageId: `${messageId}-a`,
      activityType: "PLAN",
      patch: [{ op: "add", path: "/steps/-", value: "rest" }],
    });
    ctx.event("state_changed", { snapshot: { count: 1 } });
    ctx.event("state_changed", { delta: [{ op: "replace", path: "/count", value: 2 }] });
    ctx.event("custom_event", { name: "confetti", value: { colour: "red" } });
    ctx.event("raw_event", { event: { from: "elsewhere" }, source: "outside" });
    ctx.event("subagent_started", { subagentRunId: "sub-1", name: "helper" });
    ctx.event("subagent_finished", { subagentRunId: "sub-1" });
    ctx.progress(0.5, "half way");
    const text = "Here is all of it.";
    ctx.event("message_completed", { messageId, text });
    return { messages: [{ id: messageId, role: "assistant", content: text }], state: { count: 2 } };
  },
});

/** Fails for good. */
export const failing = defineAgent({
  type: "failing",
  capabilities: ["chat"],
  run() {
    throw new Error("it cannot be done");
  },
});
