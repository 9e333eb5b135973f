/**
 * Contract 002's part of the operation table: its paths are the operations' own, so this
 * dialect's routes are a list of names.
 */
export const contract002 = [
  "runs.create",
  "runs.list",
  "runs.get",
  "runs.cancel",
  "runs.events",
  "checkpoints.approve",
  "checkpoints.reject",
  "checkpoints.provide_input",
  "workflows.list",
  "workflows.get",
  "workflows.schemas",
  "artifacts.get",
] as const;
