/**
 * What this dialect reads of the core's views: those of machines/run and machines/task. A list
 * of artifacts may be plain (a task's) or paged (a run's).
 */
import type { Paged } from "../../../machines/paged.ts";
import type { ArtifactEntry } from "../../../machines/schema.ts";

export type { RunView } from "../../../machines/run/definition.ts";
export type { Checkpoint as CheckpointView } from "../../../machines/run/schema.ts";
export type ArtifactView = ArtifactEntry;
export type List<T> = readonly T[] | Paged<T>;
