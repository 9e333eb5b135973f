/**
 * The whole table: Troupe's operations and the dialects' routes over them. Routes, validation, OpenAPI and
 * metric labels come from it.
 */
import { agUiRoutes } from "./ag-ui/routes.ts";
import { promptRoutes } from "./dialects/000/routes.ts";
import { routes001 } from "./dialects/001/routes.ts";
import { routes004 } from "./dialects/004/routes.ts";
import { apiV1Routes } from "./dialects/api-v1/routes.ts";
import type { Operation } from "./operation.ts";
import { coreOperations } from "./operations/index.ts";

export const operations: readonly Operation[] = [
  ...coreOperations,
  ...promptRoutes,
  ...apiV1Routes,
  ...routes001,
  ...routes004,
  ...agUiRoutes,
];
