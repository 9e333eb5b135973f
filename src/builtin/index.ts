/** What Troupe brings along: agents for every node, workflows registered at the start. */
import type { AgentDefinition, ToolDefinition } from "../actors/agent.ts";
import type { WorkflowDefinition } from "../machines/workflow/schema.ts";
import { sectionAnalyst } from "./brief/analyst.ts";
import { briefMerger } from "./brief/merger.ts";
import { briefPublisher } from "./brief/publisher.ts";
import { documentSplitter } from "./brief/splitter.ts";
import { documentBrief } from "./brief/workflow.ts";
import { echoChat } from "./chat/echo-chat.ts";
import { modelChat } from "./chat/model-chat.ts";
import { toolAgent } from "./chat/tool-agent.ts";
import { type LoadedTools, loadTools } from "./chat/tools/load.ts";
import { Toolbox } from "./chat/tools/toolbox.ts";
import { echo, echoAgent } from "./echo.ts";
import { modelSectionAnalyst } from "./model/analyst.ts";
import { createModelClient, type ModelSettings, type ModelTimers } from "./model/client.ts";
import { modelPromptAgent, toolPromptAgent } from "./prompt/agent.ts";

export { createModelClient, type LoadedTools, loadTools, type ModelSettings, type ModelTimers, modelSectionAnalyst };

/** Any agent, whatever its input and output are. */
export type AnyAgent = AgentDefinition<unknown, unknown>;

/** With a model configured, it analyses the sections and answers prompts; without, libraries do what they can. */
export function builtInAgents(
  options: { model?: { settings: ModelSettings; timers: ModelTimers }; tools?: readonly ToolDefinition<never>[] } = {},
): AnyAgent[] {
  const toolbox = new Toolbox(options.tools);
  const client = options.model && createModelClient(options.model.settings, options.model.timers);
  const analyst = client === undefined ? sectionAnalyst : modelSectionAnalyst(client);
  const prompt = client === undefined ? toolPromptAgent : modelPromptAgent(client);
  const agents: unknown[] = [echoAgent, documentSplitter, analyst, briefMerger, briefPublisher, prompt, echoChat];
  if (client !== undefined) agents.push(modelChat(client, toolbox));
  if (toolbox.names.length > 0) agents.push(toolAgent(toolbox));
  return agents as AnyAgent[];
}

export const builtInWorkflows: readonly WorkflowDefinition[] = [echo, documentBrief];
