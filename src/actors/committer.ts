/**
 * Puts one sealed group into the journal. Rule: its bytes and its expected sequence never change; it
 * is published again until there is an answer. Why that is safe: the stream takes one message per
 * expected sequence, so a repeat can only be refused, and the refusal names the message that stands
 * in its place: these very bytes (then it was stored), or another owner's (then it never will be).
 */
import type { Clock } from "../bus/clock.ts";
import type { Journal } from "../bus/journal.ts";
import type { Logger } from "./limits.ts";

export type CommitOutcome =
  | { readonly kind: "stored"; readonly seq: number }
  /** Another node's message stands there: the partition is not ours any more. */
  | { readonly kind: "lost"; readonly lastSeq: number }
  /** The store has no room; nothing was stored. */
  | { readonly kind: "full"; readonly reason: string }
  /** `stopped` became true while the outcome was unknown. */
  | { readonly kind: "stopped" };

export interface CommitEnvironment {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  stopped(): boolean;
}

const retryMsMax = 1000;
/** So often, and at least so long, may a refusal name a sequence that is not above the expected one. */
const staleMax = 50;
const staleMsMax = 10_000;

export async function commitGroup(
  env: CommitEnvironment,
  partition: number,
  bytes: Uint8Array,
  expectedSeq: number,
): Promise<CommitOutcome> {
  let tries = 0;
  let doubt = false;
  let stale = 0;
  let staleSince = 0;
  for (;;) {
    const outcome = await env.journal.append(partition, bytes, expectedSeq);
    if (outcome.kind === "stored") return outcome;
    if (outcome.kind === "full" && !doubt) return outcome;
    if (outcome.kind === "refused") {
      const verdict = await examine(env, partition, bytes, expectedSeq, outcome.lastSeq);
      if (verdict !== "look again") return verdict;
      if (stale++ === 0) staleSince = env.clock.monotonic();
      if (stale > staleMax && env.clock.monotonic() - staleSince > staleMsMax) {
        throw new Error(
          `Partition ${partition}: the journal ends at ${outcome.lastSeq}, before ${expectedSeq} that was acknowledged: the store has lost its end.`,
        );
      }
    } else {
      doubt = true;
    }
    if (env.stopped()) return { kind: "stopped" };
    const waitMs = outcome.kind === "unknown" ? outcome.retryAfterMs : 5;
    tries++;
    if (tries % 20 === 0)
      env.logger.warn({ partition, tries, outcome }, "a commit still has no answer; publishing it again");
    await env.clock.sleep(Math.min(retryMsMax, waitMs * Math.max(1, tries / 8)));
  }
}

/** What stands at the sequence that the refusal names. */
async function examine(
  env: CommitEnvironment,
  partition: number,
  bytes: Uint8Array,
  expectedSeq: number,
  lastSeq: number,
): Promise<CommitOutcome | "look again"> {
  // A lagging server may answer with what we expected, or with nothing yet.
  if (lastSeq <= expectedSeq) return "look again";
  const found = await env.journal.get(partition, lastSeq).catch(() => null);
  if (found === null) return "look again";
  if (Buffer.compare(found.bytes, bytes) === 0) return { kind: "stored", seq: lastSeq };
  return { kind: "lost", lastSeq };
}
