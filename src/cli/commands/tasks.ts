/**
 * `troupe tasks …` and `troupe agents list`: the units of work, and who does them.
 */
import { z } from "zod";
import { exitCodes } from "../exit.ts";
import { brief, instant, table } from "../format.ts";
import { idempotencyHeader } from "../http.ts";
import { readJson } from "../input.ts";
import { collect } from "../pages.ts";
import type { Session } from "../session.ts";
import { type AnyObject, anyObject } from "../shapes.ts";

const createdShape = z.looseObject({ task: anyObject });

/** A field as text for a table. */
function pick(from: AnyObject, name: string): string {
  const found = from[name];
  if (found === undefined || found === null) return "-";
  return Array.isArray(found) ? found.join(", ") : brief(found, 80);
}

const output = (session: Session, value: AnyObject): number => {
  session.json(value);
  return exitCodes.ok.code;
};

export interface ListFlags {
  readonly status?: string;
  readonly type?: string;
  readonly limit: number;
  readonly json?: boolean;
}

export async function list(session: Session, flags: ListFlags): Promise<number> {
  const query = { status: flags.status, task_type: flags.type };
  const found = await collect(session, "/v1/tasks", anyObject, query, flags.limit);
  if (flags.json === true) session.json(found);
  else if (found.length === 0) session.note("no tasks");
  else {
    const rows = found.map((task) => [
      pick(task, "task_id"),
      pick(task, "task_type"),
      pick(task, "status"),
      pick(task, "attempt"),
      instant(pick(task, "created_at")),
    ]);
    session.printAll(table(["TASK", "TYPE", "STATUS", "ATTEMPT", "CREATED (UTC)"], rows, session.paint));
  }
  return exitCodes.ok.code;
}

export async function show(session: Session, id: string): Promise<number> {
  return output(session, await session.api.get(`/v1/tasks/${encodeURIComponent(id)}`, anyObject));
}

export interface CreateFlags {
  readonly type: string;
  readonly input?: string;
  readonly priority?: number;
  /** Of one attempt, ms. */
  readonly taskTimeout?: number;
  readonly title?: string;
  readonly idempotencyKey?: string;
  readonly json?: boolean;
}

export async function create(session: Session, flags: CreateFlags): Promise<number> {
  const body = {
    task_type: flags.type,
    input: flags.input === undefined ? {} : await readJson(flags.input, session, "--input"),
    ...(flags.priority === undefined ? {} : { priority: flags.priority }),
    ...(flags.taskTimeout === undefined ? {} : { timeout_ms: flags.taskTimeout }),
    ...(flags.title === undefined ? {} : { title: flags.title }),
  };
  const headers = { [idempotencyHeader]: flags.idempotencyKey ?? session.io.random.id() };
  const { task } = await session.api.json("POST", "/v1/tasks", createdShape, { body, headers, retries: 6 });
  if (flags.json === true) return output(session, task);
  session.print(pick(task, "task_id"));
  return exitCodes.ok.code;
}

export async function cancel(session: Session, id: string, flags: { json?: boolean }): Promise<number> {
  const task = await session.api.json("DELETE", `/v1/tasks/${encodeURIComponent(id)}`, anyObject);
  if (flags.json === true) return output(session, task);
  session.print(`${id}  ${pick(task, "status")}`);
  return exitCodes.ok.code;
}

export async function agents(session: Session, flags: { limit: number; json?: boolean }): Promise<number> {
  const found = await collect(session, "/v1/agents", anyObject, {}, flags.limit);
  if (flags.json === true) session.json(found);
  else if (found.length === 0) session.note("no agents");
  else {
    const rows = found.map((agent) => [
      pick(agent, "agent_id"),
      pick(agent, "agent_type"),
      pick(agent, "status"),
      pick(agent, "capabilities"),
      pick(agent, "concurrency"),
    ]);
    session.printAll(table(["AGENT", "TYPE", "STATUS", "CAPABILITIES", "SLOTS"], rows, session.paint));
  }
  return exitCodes.ok.code;
}
