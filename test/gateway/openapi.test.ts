/** The OpenAPI document: generated from the table, whole, and clean for a linter. */
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { afterAll, beforeAll, expect, test } from "vitest";
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

test("references resolve and nothing private shows", () => {
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/#\/components\/schemas\/([A-Za-z]+)/g)) {
    expect(document.components.schemas).toHaveProperty(name as string);
  }
  expect(text).not.toContain("$defs");
});
