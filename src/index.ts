/**
 * What a project that writes agents for Troupe imports. Re-exports only.
 */
export {
  type AgentContext,
  type AgentDefinition,
  type ArtifactInput,
  defineAgent,
  TaskError,
} from "./actors/agent.ts";
