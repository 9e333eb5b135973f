/**
 * Contract 001's requests, responses and publications: what its messages look like, over HTTP and on sockets.
 */
import { z } from "zod";
import { freeJson, freeObject } from "../../operation.ts";
import { ownId, seconds } from "../api-v1/schema.ts";

export const requestMessage = z.object({
  id: ownId.nullish(),
  type: z.string().min(1).max(128),
  source: z.string().min(1).max(200).nullish(),
  target: z.string().min(1).max(200),
  correlation_id: z.string().max(200).nullish(),
  data: freeJson.optional(),
  timeout: seconds.nullish(),
  callback_url: z.string().min(1).max(2_048).nullish(),
});
export type RequestMessage = z.output<typeof requestMessage>;

export const responseMessage = z.object({
  id: ownId.nullish(),
  status: z.string().min(1).max(64).nullish(),
  data: freeJson.optional(),
  errors: z.array(freeJson).max(100).nullish(),
});
export type ResponseMessage = z.output<typeof responseMessage>;

export const publicationMessage = z.object({
  topic: z.string().min(1).max(512),
  data: freeJson.optional(),
  attributes: freeObject.nullish(),
  source: z.string().min(1).max(200).nullish(),
});
export type PublicationMessage = z.output<typeof publicationMessage>;
