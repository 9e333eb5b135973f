/**
 * Routes that contracts 001 and 004 share, or that are about the same things: agents, tasks, workflows.
 */
import type { Operation } from "../../operation.ts";
import { agentRoutes } from "./agents.ts";
import { taskRoutes } from "./tasks.ts";
import { workflowRoutes } from "./workflows.ts";

export const apiV1Routes: readonly Operation[] = [...agentRoutes, ...taskRoutes, ...workflowRoutes];
