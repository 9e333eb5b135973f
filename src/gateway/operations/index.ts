/**
 * The table of Troupe's own operations, in its own shapes. What is served is this and the dialects' routes
 * over it: `table.ts`.
 */
import type { Operation } from "../operation.ts";
import { activityOperations } from "./activity.ts";
import { agentWorkOperations } from "./agent-work.ts";
import { agentOperations } from "./agents.ts";
import { artifactOperations } from "./artifacts.ts";
import { authOperations } from "./auth.ts";
import { callbackOperations } from "./callbacks.ts";
import { checkpointOperations } from "./checkpoints.ts";
import { conflictOperations } from "./conflicts.ts";
import { deadLetterOperations } from "./dead-letters.ts";
import { keyOperations } from "./keys.ts";
import { metricsOperations } from "./metrics.ts";
import { publicationOperations } from "./publications.ts";
import { requestOperations } from "./requests.ts";
import { resourceOperations } from "./resources.ts";
import { runEventOperations } from "./run-events.ts";
import { runOperations } from "./runs.ts";
import { sessionOperations } from "./sessions.ts";
import { sharedStateOperations } from "./shared-state.ts";
import { subscriptionOperations } from "./subscriptions.ts";
import { systemOperations } from "./system.ts";
import { taskEventOperations } from "./task-events.ts";
import { taskUpdateOperations } from "./task-update.ts";
import { taskOperations } from "./tasks.ts";
import { templateOperations } from "./templates.ts";
import { workflowOperations } from "./workflows.ts";

export const coreOperations: readonly Operation[] = [
  ...runOperations,
  ...runEventOperations,
  ...checkpointOperations,
  ...workflowOperations,
  ...artifactOperations,
  ...taskOperations,
  ...taskEventOperations,
  ...taskUpdateOperations,
  ...agentOperations,
  ...agentWorkOperations,
  ...resourceOperations,
  ...deadLetterOperations,
  ...sharedStateOperations,
  ...requestOperations,
  ...callbackOperations,
  ...publicationOperations,
  ...subscriptionOperations,
  ...conflictOperations,
  ...templateOperations,
  ...keyOperations,
  ...authOperations,
  ...sessionOperations,
  ...systemOperations,
  ...activityOperations,
  ...metricsOperations,
];
