/**
 * Words of the contracts under `/api/v1` for the core's states and numbers, and back. Pure.
 */
import { z } from "zod";
import { isObject } from "../../../machines/json.ts";

/** Core statuses of a task by the contracts' word. A task that was given to an agent is pending until the agent begins. */
export const taskWords = {
  pending: ["pending", "waiting", "ready", "retrying", "assigned"],
  in_progress: ["running"],
  completed: ["completed"],
  failed: ["failed", "timed_out"],
  cancelled: ["cancelled"],
} as const satisfies Record<string, readonly string[]>;
export type TaskWord = keyof typeof taskWords;

const wordOfTask = new Map<string, TaskWord>(
  (Object.keys(taskWords) as TaskWord[]).flatMap((word) => taskWords[word].map((status) => [status, word] as const)),
);

/** `running` → `in_progress`. */
export function taskWord(status: string): string {
  return wordOfTask.get(status) ?? status;
}

/** Contract 001's words on the scale of 1–10. */
export const priorityWords = { low: 2, normal: 5, high: 8, critical: 10 } as const;
export type PriorityWord = keyof typeof priorityWords;

/** A word or a number; both contracts' clients get back what they sent. */
export const priority = z.union([
  z.enum(Object.keys(priorityWords) as [PriorityWord, ...PriorityWord[]]),
  z.int().min(1).max(10),
]);
export type Priority = z.output<typeof priority>;

export function priorityNumber(given: Priority): number {
  return typeof given === "number" ? given : priorityWords[given];
}

/** Seconds of the contracts as the core's milliseconds. */
export function secondsToMs(seconds: number): number {
  return Math.max(1, Math.round(seconds * 1000));
}

/** Longer ones are read with the task, not told with its progress. */
const toldMax = 4_096;

/** What there is so far, as details of the progress: contract 001 tells them there. */
export function detailsOf(output: unknown): Record<string, unknown> | undefined {
  if (!isObject(output) || JSON.stringify(output).length > toldMax) return undefined;
  return output;
}
