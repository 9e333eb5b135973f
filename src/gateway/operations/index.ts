/**
 * The table of operations: the one place from which routes, OpenAPI, WebSocket requests and
 * metric labels come.
 */
import type { Operation } from "../operation.ts";
import { agentOperations } from "./agents.ts";
import { artifactOperations } from "./artifacts.ts";
import { checkpointOperations } from "./checkpoints.ts";
import { deadLetterOperations } from "./dead-letters.ts";
import { runEventOperations } from "./run-events.ts";
import { runOperations } from "./runs.ts";
import { systemOperations } from "./system.ts";
import { taskOperations } from "./tasks.ts";
import { workflowOperations } from "./workflows.ts";

export const operations: readonly Operation[] = [
  ...runOperations,
  ...runEventOperations,
  ...checkpointOperations,
  ...workflowOperations,
  ...artifactOperations,
  ...taskOperations,
  ...agentOperations,
  ...deadLetterOperations,
  ...systemOperations,
];
