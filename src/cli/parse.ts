/**
 * How the values of flags are read. A refusal is a usage error (exit code 2) that names the flag.
 */
import { InvalidArgumentError } from "commander";
import { runStatuses } from "./shapes.ts";

/** Adds each given value to a list. */
export function collectValues(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `30s`, `5m`, `2h`, `500ms`; a bare number is seconds. In ms. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim());
  const ms = match === null ? Number.NaN : Number(match[1]) * (unitMs[match[2] ?? "s"] ?? 1_000);
  if (!(ms > 0)) throw new InvalidArgumentError("Give a duration such as 30s, 5m or 2h.");
  return Math.ceil(ms);
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError("Give a whole number from 1 on.");
  return count;
}

export function parsePriority(text: string): number {
  const priority = parseCount(text);
  if (priority > 10) throw new InvalidArgumentError("Give a whole number from 1 to 10.");
  return priority;
}

/** Requests a minute, or `none`. */
export function parseRateLimit(text: string): number | "none" {
  return text === "none" ? text : parseCount(text);
}

export function parseRunStatus(text: string): string {
  if (runStatuses.includes(text)) return text;
  throw new InvalidArgumentError(`Give one of ${runStatuses.join(", ")}.`);
}
