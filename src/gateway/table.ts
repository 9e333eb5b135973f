/**
 * The whole table: Troupe's operations and the dialects' routes over them. Routes, validation, OpenAPI and
 * metric labels come from it.
 */
import { agUiRoutes } from "./ag-ui/routes.ts";
import { dialectTags } from "./dialect.ts";
import { promptRoutes } from "./dialects/000/routes.ts";
import { routes001 } from "./dialects/001/routes.ts";
import { contract002 } from "./dialects/002/routes.ts";
import { routes004 } from "./dialects/004/routes.ts";
import { apiV1Routes } from "./dialects/api-v1/routes.ts";
import type { Operation } from "./operation.ts";
import { coreOperations } from "./operations/index.ts";

const of002: ReadonlySet<string> = new Set(contract002);

/** Contract 002's paths are Troupe's own: they stand in both groups. */
const grouped = (one: Operation): Operation =>
  of002.has(one.name) ? { ...one, tags: [...one.tags, dialectTags["002"]] } : one;

export const operations: readonly Operation[] = [
  ...coreOperations.map(grouped),
  ...promptRoutes,
  ...apiV1Routes,
  ...routes001,
  ...routes004,
  ...agUiRoutes,
];
