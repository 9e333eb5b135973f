/**
 * What the client reads of the server's answers. Loose on purpose: a newer server may say more,
 * and `--json` prints what it said. Owns the shapes; not owned: fetching them (http.ts).
 */
import { z } from "zod";

const optionalText = z.string().nullish();

export const checkpointShape = z.looseObject({
  checkpoint_id: z.string(),
  run_id: optionalText,
  status: z.string(),
  title: optionalText,
  instructions: optionalText,
  expires_at: optionalText,
  required_schema: z.unknown().optional(),
  provided_input: z.unknown().optional(),
  decision: z.looseObject({ approved: z.boolean().nullish(), note: optionalText }).nullish(),
});
export type Checkpoint = z.infer<typeof checkpointShape>;

export const stageShape = z.looseObject({
  name: z.string(),
  status: z.string(),
  count: z.number().nullish(),
  /** Those that have ended, the failed ones too. */
  done: z.number().nullish(),
  failed: z.number().nullish(),
});
export type Stage = z.infer<typeof stageShape>;

export const artifactRefShape = z.looseObject({
  artifact_id: z.string(),
  type: z.string().nullish(),
  name: optionalText,
});
export type ArtifactRef = z.infer<typeof artifactRefShape>;

export const runShape = z.looseObject({
  run_id: z.string(),
  workflow: z.looseObject({ name: z.string(), version: optionalText }),
  status: z.string(),
  timing: z
    .looseObject({
      created_at: optionalText,
      started_at: optionalText,
      finished_at: optionalText,
      wall_ms: z.number().nullish(),
    })
    .nullish(),
  output: z.unknown().optional(),
  error: z.looseObject({ code: z.string().nullish(), message: z.string().nullish() }).nullish(),
  cost: z.looseObject({ total_tokens: z.number().nullish(), total_usd: z.number().nullish() }).nullish(),
  artifacts: z.array(artifactRefShape).nullish(),
  checkpoints: z.array(checkpointShape).nullish(),
  stages: z.array(stageShape).nullish(),
});
export type Run = z.infer<typeof runShape>;

export const runStatuses: readonly string[] = [
  "queued",
  "running",
  "waiting_human",
  "succeeded",
  "failed",
  "canceled",
  "timed_out",
];

/** A terminal status never changes again. */
export function isEnded(run: Run): boolean {
  return ["succeeded", "failed", "canceled", "timed_out"].includes(run.status);
}

export function openCheckpoints(run: Run): Checkpoint[] {
  return (run.checkpoints ?? []).filter((checkpoint) => checkpoint.status === "required");
}

export const eventShape = z.looseObject({
  event_id: z.string(),
  ts: optionalText,
  type: z.string(),
  run_id: optionalText,
  step_id: optionalText,
  tool_name: optionalText,
  payload: z.unknown().optional(),
});
export type RunEvent = z.infer<typeof eventShape>;

export function endsRun(event: RunEvent): boolean {
  return ["run.completed", "run.failed", "run.canceled"].includes(event.type);
}

export const artifactShape = z.looseObject({
  artifact_id: z.string(),
  type: z.string(),
  name: optionalText,
  created_at: optionalText,
  mime_type: optionalText,
  data: z.unknown().optional(),
  file: z
    .looseObject({
      download_url: z.string(),
      expires_at: optionalText,
      size_bytes: z.number().nullish(),
      sha256: optionalText,
    })
    .nullish(),
});
export type Artifact = z.infer<typeof artifactShape>;

export const anyObject = z.looseObject({});
export type AnyObject = z.infer<typeof anyObject>;

export const workflowShape = z.looseObject({
  name: z.string(),
  version: optionalText,
  description: optionalText,
  tags: z.array(z.string()).nullish(),
});

export function pageOf<T extends z.ZodType>(item: T) {
  return z.looseObject({ data: z.array(item), next_cursor: z.string().nullish() });
}

/** An event of the WebSocket's feed. */
export const feedEventShape = z.looseObject({
  root: z.string(),
  no: z.number(),
  type: z.string(),
  key: z.string(),
  kind: z.string().nullish(),
  name: z.string(),
  at: z.union([z.number(), z.string()]).nullish(),
  data: z.unknown().optional(),
});
export type FeedEvent = z.infer<typeof feedEventShape>;

export const socketMessageShape = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("subscribed"), id: z.string(), cursor: z.string().nullish() }),
  z.looseObject({ type: z.literal("event"), id: z.string(), cursor: z.string().nullish(), event: feedEventShape }),
  z.looseObject({
    type: z.literal("error"),
    id: z.string().nullish(),
    error: z.looseObject({
      code: z.string(),
      message: z.string(),
      retryable: z.boolean().nullish(),
      correlation_id: optionalText,
      details: z.unknown().optional(),
    }),
  }),
]);

export const errorBodyShape = z.looseObject({
  error: z.looseObject({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean().nullish(),
    correlation_id: optionalText,
    details: z.unknown().optional(),
  }),
});
