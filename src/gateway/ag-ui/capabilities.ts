/** What an AG-UI client is told of an agent behind this gateway. Pure; the shape is @ag-ui/core's. */
import type { AgentCapabilities } from "@ag-ui/core";
import type { Target } from "./agents.ts";

export function capabilitiesOf(target: Target, version: string): AgentCapabilities {
  const chat = target.kind === "chat";
  const checkpoints = target.workflow.definition.stages.some((stage) => stage.kind === "checkpoint");
  return {
    identity: {
      name: target.agent,
      type: "troupe",
      version,
      ...(target.workflow.definition.description === undefined
        ? {}
        : { description: target.workflow.definition.description }),
    },
    transport: { streaming: true, websocket: false, httpBinary: true, resumable: true },
    tools: { supported: chat, clientProvided: chat, parallelCalls: chat },
    state: { snapshots: true, deltas: true, memory: true, persistentState: true },
    reasoning: { supported: chat, streaming: chat },
    humanInTheLoop: { supported: checkpoints, interrupts: checkpoints, approvals: checkpoints, interventions: false },
  };
}
