/**
 * `troupe keys …`: API keys of the store. A key's secret is printed by `create` and is nowhere else.
 */
import { z } from "zod";
import { exitCodes } from "../exit.ts";
import { instant, table } from "../format.ts";
import { idempotencyHeader } from "../http.ts";
import { collect } from "../pages.ts";
import type { Session } from "../session.ts";

export interface CreateFlags {
  readonly scopes?: string;
  readonly rateLimit?: number | "none";
  readonly json?: boolean;
}

export interface ListFlags {
  readonly status?: string;
  readonly limit: number;
  readonly json?: boolean;
}

const keyShape = z.looseObject({
  key_id: z.string(),
  name: z.string(),
  status: z.string(),
  scopes: z.array(z.string()),
  rate_limit: z.number().nullish(),
  created_by: z.string().nullish(),
  created_at: z.string().nullish(),
});
const madeShape = z.looseObject({ key: keyShape, secret: z.string() });

export async function create(session: Session, name: string, flags: CreateFlags): Promise<number> {
  const scopes = flags.scopes?.split(",").map((one) => one.trim());
  const body = {
    name,
    ...(scopes !== undefined && { scopes }),
    ...(flags.rateLimit !== undefined && { rate_limit: flags.rateLimit === "none" ? null : flags.rateLimit }),
  };
  const headers = { [idempotencyHeader]: session.io.random.id() };
  const made = await session.api.json("POST", "/v1/keys", madeShape, { body, headers, retries: 3 });
  if (flags.json === true) session.json(made);
  else {
    session.note(`key ${made.key.key_id} for ${made.key.scopes.join(", ")}; it is not shown again:`);
    session.print(made.secret);
  }
  return exitCodes.ok.code;
}

export async function list(session: Session, flags: ListFlags): Promise<number> {
  const found = await collect(session, "/v1/keys", keyShape, { status: flags.status }, flags.limit);
  if (flags.json === true) session.json(found);
  else if (found.length === 0) session.note("no keys");
  else {
    const rows = found.map((one) => [
      one.key_id,
      one.name,
      one.status,
      one.scopes.join(" "),
      one.rate_limit === undefined ? "default" : (one.rate_limit?.toString() ?? "none"),
      instant(one.created_at ?? ""),
    ]);
    session.printAll(table(["KEY", "NAME", "STATUS", "SCOPES", "A MINUTE", "CREATED (UTC)"], rows, session.paint));
  }
  return exitCodes.ok.code;
}

export async function revoke(session: Session, id: string, flags: { json?: boolean }): Promise<number> {
  const path = `/v1/keys/${encodeURIComponent(id)}`;
  const revoked = await session.api.json("DELETE", path, keyShape, { retries: 3 });
  if (flags.json === true) session.json(revoked);
  else session.print(`${revoked.key_id}  ${revoked.status}`);
  return exitCodes.ok.code;
}
