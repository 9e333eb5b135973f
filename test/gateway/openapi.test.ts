/** The OpenAPI document: generated from the table, whole, and clean for a linter. */
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dialectTags } from "../../src/gateway/dialect.ts";
import { contract002 } from "../../src/gateway/dialects/002/routes.ts";
import { operations } from "../../src/gateway/index.ts";
import { type Started, start } from "./support/start.ts";

let on: Started;
// biome-ignore lint/suspicious/noExplicitAny: a JSON document
let document: any;
beforeAll(async () => {
  on = await start({ publicUrl: "https://troupe.example.org" });
  document = (await on.get("/openapi.json")).body;
});
afterAll(() => on.gateway.close(0));

test("it lints clean", async () => {
  const config = await createConfig({ extends: ["recommended"] });
  const problems = await lintFromString({ source: JSON.stringify(document), config });
  expect(problems.map((p) => `${p.ruleId}: ${p.message} ${p.location[0]?.pointer}`)).toEqual([]);
});

test("every operation is there with its id, and contract 002 is part of it", () => {
  expect(document.openapi).toBe("3.1.0");
  const found = new Map<string, { security?: unknown[]; responses: Record<string, unknown> }>();
  for (const item of Object.values(document.paths)) {
    for (const operation of Object.values(
      item as Record<string, { operationId: string; responses: Record<string, unknown> }>,
    )) {
      found.set(operation.operationId, operation);
    }
  }
  expect([...found.keys()].sort()).toEqual(operations.map((o) => o.name).sort());
  for (const name of contract002) expect(found.has(name)).toBe(true);
  expect(found.get("runs.create")?.responses).toHaveProperty("201");
  expect(found.get("runs.create")?.responses).toHaveProperty("409");
  expect(found.get("artifacts.download")?.security).toEqual([]);
});

test("each published contract is a group, with its paths", () => {
  const inGroup = (tag: string) =>
    Object.entries(document.paths as Record<string, Record<string, { tags: string[] }>>)
      .filter(([, item]) => Object.values(item).some(({ tags }) => tags.includes(tag)))
      .map(([path]) => path);
  const names = document.tags.map((tag: { name: string }) => tag.name);
  const [own, published] = document["x-tagGroups"];
  expect([...own.tags, ...published.tags].sort()).toEqual([...names].sort());
  expect(published.tags).toEqual(Object.values(dialectTags));
  expect(inGroup(dialectTags["000"])).toContain("/ninja-api/grpc/execute_task");
  expect(inGroup(dialectTags["001"])).toContain("/api/v1/agents/register");
  expect(inGroup(dialectTags["002"])).toContain("/v1/runs/{run_id}/events");
  expect(inGroup(dialectTags["003"]).filter((path) => path.includes("/ag-ui"))).not.toEqual([]);
  expect(inGroup(dialectTags["004"])).toContain("/api/v1/dashboard/summary");
  for (const path of ["/api/v1/tasks", "/api/v1/workflows"]) {
    expect(inGroup(dialectTags["001"])).toContain(path);
    expect(inGroup(dialectTags["004"])).toContain(path);
  }
});

test("the page of /docs loads the document, and everything that it needs is here", async () => {
  const page = await on.get("/docs");
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const parts = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((m) => m[1] as string);
  expect(parts).toContain("/docs/start.js");
  for (const part of parts) expect([part, (await on.get(part)).status]).toEqual([part, 200]);
  expect((await on.get("/docs/start.js")).text).toContain('"/openapi.json"');
});

test("references resolve and nothing private shows", () => {
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/#\/components\/schemas\/([A-Za-z]+)/g)) {
    expect(document.components.schemas).toHaveProperty(name as string);
  }
  expect(text).not.toContain("$defs");
});
