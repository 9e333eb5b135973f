/**
 * Routes of contracts 001 and 004: everything under `/api/v1`. Paths that both have are one route.
 */
import type { Operation } from "../../operation.ts";
import { agentRoutes } from "./agents.ts";
import { workflowRoutes } from "./workflows.ts";

export const apiV1Routes: readonly Operation[] = [...agentRoutes, ...workflowRoutes];
