/**
 * When a failed attempt is tried again: the policy's count and its backoff. The jitter is
 * deterministic (task and attempt), so that the same history gives the same times.
 */
import type { Retry } from "../schema.ts";

/** Attempts that count for the policy: lost ones do not. */
export function chargedAttempts(attempt: number, lost: number): number {
  return attempt - lost;
}

/** Milliseconds until the next attempt; `charged` is the number of attempts that counted so far (1 or more). */
export function backoffMs(retry: Retry, charged: number, seed: string): number {
  const base = Math.min(retry.max_ms, retry.initial_ms * growth(retry.backoff, charged));
  const spread = base * retry.jitter * (2 * unit(seed) - 1);
  return Math.max(0, Math.round(Math.min(retry.max_ms, base + spread)));
}

function growth(backoff: Retry["backoff"], charged: number): number {
  switch (backoff) {
    case "fixed":
      return 1;
    case "linear":
      return charged;
    case "exponential":
      return 2 ** Math.min(charged - 1, 52);
  }
}

/** A number in [0, 1) from a text: FNV-1a with a final mix (murmur3's), evenly spread. */
export function unit(seed: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < seed.length; i++) h = Math.imul(h ^ seed.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}
