/** What Troupe brings along: agents for every node, workflows registered at the start. */
import type { AgentDefinition } from "../actors/agent.ts";
import type { WorkflowDefinition } from "../machines/workflow/schema.ts";
import { sectionAnalyst } from "./brief/analyst.ts";
import { briefMerger } from "./brief/merger.ts";
import { briefPublisher } from "./brief/publisher.ts";
import { documentSplitter } from "./brief/splitter.ts";
import { documentBrief } from "./brief/workflow.ts";
import { echo, echoAgent } from "./echo.ts";
import { modelSectionAnalyst } from "./model/analyst.ts";
import { createModelClient, type ModelSettings, type ModelTimers } from "./model/client.ts";

export { createModelClient, type ModelSettings, type ModelTimers, modelSectionAnalyst };

/** Any agent, whatever its input and output are. */
export type AnyAgent = AgentDefinition<unknown, unknown>;

/** With a model configured, it analyses the sections; without, libraries do. */
export function builtInAgents(options: { model?: { settings: ModelSettings; timers: ModelTimers } } = {}): AnyAgent[] {
  const { model } = options;
  const analyst =
    model === undefined ? sectionAnalyst : modelSectionAnalyst(createModelClient(model.settings, model.timers));
  const agents: readonly unknown[] = [echoAgent, documentSplitter, analyst, briefMerger, briefPublisher];
  return agents as AnyAgent[];
}

export const builtInWorkflows: readonly WorkflowDefinition[] = [echo, documentBrief];
