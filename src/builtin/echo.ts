/** The smallest agent and workflow: the input comes out again. For first steps, tests and the bench. */
import { type AgentDefinition, defineAgent } from "../actors/agent.ts";
import type { Json } from "../machines/effects.ts";
import type { WorkflowDefinition } from "../machines/workflow/schema.ts";

export const echoAgent: AgentDefinition<Json, Json> = defineAgent<Json, Json>({
  type: "echo",
  description: "Returns its input.",
  capabilities: ["echo"],
  concurrency: 256,
  run: (_ctx, input) => input,
});

export const echo: WorkflowDefinition = {
  name: "echo",
  version: "0.1.0",
  description: "Returns its input, by one stage.",
  tags: ["built-in"],
  stages: [{ name: "echo", agent_type: "echo", input: "${input}" }],
  output: "${stages.echo.output}",
};
