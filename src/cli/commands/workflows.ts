/**
 * `troupe workflows …`: list, show, register.
 */
import { exitCodes, usageError } from "../exit.ts";
import { clean, table } from "../format.ts";
import { readJson } from "../input.ts";
import { collect } from "../pages.ts";
import type { Session } from "../session.ts";
import { anyObject, workflowShape } from "../shapes.ts";
import { parseWorkflow } from "./run.ts";

export async function list(session: Session, flags: { tag?: string; limit: number; json?: boolean }): Promise<number> {
  const found = await collect(session, "/v1/workflows", workflowShape, { tag: flags.tag }, flags.limit);
  if (flags.json === true) session.json(found);
  else if (found.length === 0) session.note("no workflows");
  else {
    const rows = found.map((one) => [one.name, one.version ?? "", (one.tags ?? []).join(","), one.description ?? ""]);
    session.printAll(table(["WORKFLOW", "VERSION", "TAGS", "DESCRIPTION"], rows, session.paint));
  }
  return exitCodes.ok.code;
}

export async function show(session: Session, workflow: string, flags: { json?: boolean }): Promise<number> {
  const { name, version } = parseWorkflow(workflow);
  const found = await session.api.get(`/v1/workflows/${encodeURIComponent(name)}`, anyObject, { query: { version } });
  if (flags.json === true) {
    session.json(found);
    return exitCodes.ok.code;
  }
  const definition = anyObject.safeParse(found.definition);
  const stages = definition.success && Array.isArray(definition.data.stages) ? definition.data.stages : [];
  session.print(
    `${session.paint("bold", clean(`${found.name}@${found.version}`))}  ${clean(`${found.description ?? ""}`)}`,
  );
  const rows = stages.map((stage) => stageRow(anyObject.safeParse(stage).data ?? {}));
  session.printAll(table(["STAGE", "DONE BY", "AFTER", "CONDITIONS"], rows, session.paint));
  session.note("the whole definition: --json");
  return exitCodes.ok.code;
}

function stageRow(stage: Record<string, unknown>): string[] {
  const text = (name: string): string => (typeof stage[name] === "string" ? stage[name] : "");
  const texts = (name: string): string => (Array.isArray(stage[name]) ? stage[name].join(", ") : "");
  const by = text("kind") === "checkpoint" ? "a human" : text("agent_type") || texts("capabilities");
  const conditions = [
    text("for_each") === "" ? "" : `for each ${text("for_each")}`,
    text("when") === "" ? "" : `when ${text("when")}`,
  ];
  return [text("name"), by, texts("dependencies"), conditions.filter((part) => part !== "").join("; ")];
}

/** Registers the definition in a JSON file; the same one again changes nothing. */
export async function register(session: Session, file: string, flags: { json?: boolean }): Promise<number> {
  const definition = anyObject.safeParse(await readJson(file === "-" ? "-" : `@${file}`, session, file));
  const name = definition.success ? definition.data.name : undefined;
  if (!definition.success || typeof name !== "string" || name === "") {
    throw usageError(`${file} holds no workflow definition`, "It is a JSON object with name, version and stages.");
  }
  const path = `/v1/workflows/${encodeURIComponent(name)}`;
  const answer = await session.api.json("PUT", path, anyObject, { body: definition.data, retries: 3 });
  if (flags.json === true) session.json(answer);
  else session.print(`registered ${clean(name)}@${clean(`${answer.version ?? definition.data.version}`)}`);
  return exitCodes.ok.code;
}
