/**
 * Messages of `/v1/ws` and its close codes. In: the union below. Out: `subscribed`,
 * `unsubscribed`, `event`, `live`, `serving`, `task`, `withdrawn`, `reply`, `error`, `pong`.
 */
import { z } from "zod";
import { freeJson } from "../operation.ts";

const id = z.union([z.string().min(1).max(128), z.int()]).transform(String);
const timeoutMs = z.int().min(1).max(300_000).optional();
const scalar = z.union([z.string().max(1024), z.number(), z.boolean(), z.null()]);

/** Equality on an event's attributes; a list: any of them. `type`, `kind`, `name`, `root`, `key`, else a field of `data`. */
export const filterSchema = z
  .record(z.string().min(1).max(128), z.union([scalar, z.array(scalar).max(64)]))
  .refine((f) => Object.keys(f).length <= 16, "has more than 16 fields");
export type Filter = z.output<typeof filterSchema>;

export const clientMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("subscribe"),
    id,
    /**
     * Over subjects `event.<root>.<type>.<kind>.<key>.<name>`; `*` one token, `>` the rest. With `live.` in front
     * of the same: what is told live (a model's tokens), not stored, at most once.
     */
    pattern: z.string().min(1),
    /** A cursor of an earlier event or subscription: what came after it first, then live. */
    since: z.string().min(1).max(4096).optional(),
    filter: filterSchema.optional(),
  }),
  /** Ends a subscription, or the serving of an agent. */
  z.strictObject({ type: z.literal("unsubscribe"), id }),
  /** From now on the agent's tasks come here, each as `task`; the agent tells of them by `tasks.update`. */
  z.strictObject({ type: z.literal("serve"), id, agent_id: z.string().min(1).max(200) }),
  z.strictObject({
    type: z.literal("request"),
    id,
    /** An operation of the table, with its input (path parameters included)… */
    operation: z.string().min(1).max(128).optional(),
    input: freeJson.optional(),
    idempotency_key: z.string().min(1).max(255).optional(),
    /** …or an agent's own subject, with data. */
    subject: z.string().min(1).max(512).optional(),
    data: freeJson.optional(),
    timeout_ms: timeoutMs,
  }),
  z.strictObject({
    type: z.literal("publish"),
    id: id.optional(),
    subject: z.string().min(1).max(512),
    data: freeJson,
  }),
  z.strictObject({ type: z.literal("ping"), id: id.optional() }),
]);
export type ClientMessage = z.output<typeof clientMessage>;

export const closeCodes = {
  /** The gateway stops; connect again (to another node). */
  goingAway: 1001,
  /** The client sends far more messages than it may. */
  policyViolation: 1008,
  /** The client reads too slowly: it was told `overloaded`; resume from its last cursor. */
  tryAgainLater: 1013,
} as const;

/** Throws nothing: true for a subject that messages may be sent to (`agent.…`, no wildcards). */
export function isAgentSubject(subject: string): boolean {
  return /^agent(\.[^\s.*>\p{Cc}]+)+$/u.test(subject);
}
