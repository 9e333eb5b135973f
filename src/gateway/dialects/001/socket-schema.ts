/**
 * Messages that contract 001's socket takes: one member names what it is. Unknown fields are left out.
 */
import { z } from "zod";
import { freeJson, freeObject } from "../../operation.ts";

const id = z.string().min(1).max(200);
const messageId = z.union([z.string().max(200), z.int()]).optional();

const parts = {
  subscription: z.object({
    id: messageId,
    agent_id: id.nullish(),
    topics: z.array(z.string().min(1).max(512)).min(1).max(64),
    filters: freeObject.nullish(),
    /** Kept while the subscriber is away: what it missed comes first when it subscribes again. */
    durable: z.boolean().nullish(),
  }),
  unsubscription: z.object({
    id: messageId,
    agent_id: id.nullish(),
    topics: z.array(z.string().min(1).max(512)).max(64).nullish(),
  }),
  publication: z.object({
    id: messageId,
    topic: z.string().min(1).max(512),
    data: freeJson.optional(),
    attributes: freeObject.nullish(),
    source: id.nullish(),
  }),
  request: z.object({
    id: id.nullish(),
    type: z.string().min(1).max(128),
    source: id.nullish(),
    target: id,
    correlation_id: z.string().max(200).nullish(),
    data: freeJson.optional(),
    /** Seconds. */
    timeout: z.number().positive().max(86_400).nullish(),
    callback_url: z.string().max(2_048).nullish(),
  }),
  response: z.object({
    id: id.nullish(),
    request_id: id,
    status: z.string().min(1).max(64).default("success"),
    data: freeJson.optional(),
    errors: z.array(freeJson).max(100).default([]),
  }),
  heartbeat: z.looseObject({ id: messageId, agent_id: id }),
  report: z.looseObject({ id: messageId, task_id: id, status: z.string().min(1).max(64) }),
};

export type Kind = keyof typeof parts;
export type Part<K extends Kind> = z.output<(typeof parts)[K]>;
export const kinds = Object.keys(parts) as Kind[];

export function schemaOf(kind: Kind): z.ZodType {
  return parts[kind];
}
