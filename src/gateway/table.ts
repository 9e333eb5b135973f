/**
 * The whole table: Troupe's operations and the dialects' routes over them. Routes, validation, OpenAPI and
 * metric labels come from it.
 */
import { apiV1Routes } from "./dialects/api-v1/routes.ts";
import type { Operation } from "./operation.ts";
import { coreOperations } from "./operations/index.ts";

export const operations: readonly Operation[] = [...coreOperations, ...apiV1Routes];
