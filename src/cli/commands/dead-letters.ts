/**
 * `troupe dead-letters …`: commands that their actors could not step, and what to do with them.
 */
import { exitCodes } from "../exit.ts";
import { brief, instant, table } from "../format.ts";
import { collect } from "../pages.ts";
import type { Session } from "../session.ts";
import { type AnyObject, anyObject } from "../shapes.ts";

export interface ListFlags {
  readonly status?: string;
  readonly limit: number;
  readonly json?: boolean;
}

const text = (from: AnyObject, name: string): string => brief(from[name] ?? "-", 80);

export async function list(session: Session, flags: ListFlags): Promise<number> {
  const found = await collect(session, "/v1/dead-letters", anyObject, { status: flags.status }, flags.limit);
  if (flags.json === true) session.json(found);
  else if (found.length === 0) session.note("no dead letters");
  else {
    const rows = found.map((one) => [
      text(one, "dead_letter_id"),
      text(one, "status"),
      text(one, "to"),
      text((one.command ?? {}) as AnyObject, "type"),
      text(one, "error"),
      instant(text(one, "created_at")),
    ]);
    session.printAll(table(["DEAD LETTER", "STATUS", "TO", "COMMAND", "ERROR", "CREATED (UTC)"], rows, session.paint));
  }
  return exitCodes.ok.code;
}

const path = (id: string): string => `/v1/dead-letters/${encodeURIComponent(id)}`;

export async function show(session: Session, id: string): Promise<number> {
  session.json(await session.api.get(path(id), anyObject));
  return exitCodes.ok.code;
}

export async function act(
  session: Session,
  verb: "retry" | "drop",
  id: string,
  flags: { json?: boolean },
): Promise<number> {
  const found =
    verb === "retry"
      ? await session.api.json("POST", `${path(id)}/retry`, anyObject)
      : await session.api.json("DELETE", path(id), anyObject);
  if (flags.json === true) session.json(found);
  else session.print(`${id}  ${text(found, "status")}`);
  return exitCodes.ok.code;
}
