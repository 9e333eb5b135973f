/** Agent `tool`: one call of one of the node's tools, as a task of its own. */
import { z } from "zod";
import { defineAgent, TaskError } from "../../actors/agent.ts";
import type { Toolbox } from "./tools/toolbox.ts";

const inputSchema = z.looseObject({
  toolCallId: z.string(),
  name: z.string(),
  arguments: z.string(),
  sessionId: z.string().default(""),
});

export function toolAgent(toolbox: Toolbox) {
  return defineAgent({
    type: "tool",
    description: `Calls one of the tools ${toolbox.names.join(", ")}.`,
    capabilities: ["tools"],
    concurrency: 64,
    input: inputSchema,
    async run(ctx, { name, toolCallId, sessionId, arguments: text }) {
      const { signal, idempotencyKey } = ctx;
      const log = (line: string, fields?: Record<string, unknown>) => ctx.log(line, fields);
      const state = null;
      const setState = () => {
        throw new TaskError("there is no shared state outside of a conversation", { retryable: false });
      };
      const call = { signal, idempotencyKey, toolCallId, sessionId, log, state, setState };
      return { content: await toolbox.call(name, text, call) };
    },
  });
}
