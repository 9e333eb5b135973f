/**
 * What a project that writes agents for Troupe imports. Re-exports only.
 */
export {
  type AgentContext,
  type AgentDefinition,
  type ArtifactInput,
  defineAgent,
  defineTool,
  TaskError,
  type ToolContext,
  type ToolDefinition,
} from "./actors/agent.ts";
