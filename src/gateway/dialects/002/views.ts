/**
 * What this dialect reads of the core's views: the fields it maps, of machines/run and
 * machines/task. An artifact's list may be plain (a task's) or paged (a run's).
 */

import type { Paged } from "../../../machines/paged.ts";
import type { Checkpoint, RunContext } from "../../../machines/run/schema.ts";
import type { ArtifactEntry } from "../../../machines/schema.ts";

export type List<T> = readonly T[] | Paged<T>;
export type ArtifactView = ArtifactEntry;
export type CheckpointView = Checkpoint;

export type RunView = Pick<
  RunContext,
  | "workflow"
  | "definition"
  | "status"
  | "traceId"
  | "timing"
  | "input"
  | "runContext"
  | "metadata"
  | "labels"
  | "output"
  | "error"
  | "cost"
  | "artifacts"
  | "checkpoints"
  | "stages"
  | "requestHash"
>;
