/**
 * Reading the journal again for those who come with a cursor: a stretch of a stream in order, and the refusal of
 * cursors whose next messages may be gone. Owns no listener; joining the live feed is feed.ts's.
 */
import type { Bus } from "../bus/bus.ts";
import type { Clock } from "../bus/clock.ts";
import type { Codec } from "../bus/codec.ts";
import type { Journal, JournalMessage } from "../bus/journal.ts";
import { TroupeError } from "../machines/errors.ts";
import { encodeCursor, type FeedPosition } from "./cursor.ts";
import { decodeHead } from "./group.ts";

/** So often, and so long between, is a stream looked at that seems to end before a cursor. */
const lookTries = 15;
const lookPauseMs = 150;

/** All messages of a stream that are left between two sequences, in order; ends early when the signal aborts. */
export async function* readStretch(
  journal: Journal,
  stream: number,
  fromSeq: number,
  toSeq: number,
  signal: AbortSignal,
): AsyncGenerator<JournalMessage, void, void> {
  const queue: JournalMessage[] = [];
  let passed = false;
  let wake: () => void = () => undefined;
  const onAbort = (): void => wake();
  const follower = await journal.follow(stream, fromSeq, (m) => {
    if (m.seq <= toSeq) queue.push(m);
    // The last one may have been trimmed meanwhile: then a later one says that all is read.
    if (m.seq >= toSeq) passed = true;
    wake();
  });
  signal.addEventListener("abort", onAbort);
  try {
    while (!signal.aborted) {
      const message = queue.shift();
      if (message !== undefined) yield message;
      else if (passed) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (signal.aborted || passed || queue.length > 0) resolve();
        });
      }
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    await follower.stop();
  }
}

/** Throws `cursor_expired` (details.oldest) when messages behind the cursor may have been trimmed, `invalid_input` for one ahead of the journal. */
export async function requireWindow(
  { journal, clock }: Pick<Bus, "journal" | "clock">,
  codec: Codec,
  from: FeedPosition,
): Promise<void> {
  const oldest = from.streams.map(() => 0);
  let expired = false;
  for (let p = 0; p < journal.partitions; p++) {
    const last = await journal.last(p);
    if (last === null) continue;
    const stream = journal.streamOf(p);
    const { horizon } = decodeHead(codec, last.bytes);
    const position = from.streams[stream] ?? 0;
    if (position > (await endOf(journal, clock, stream, position))) {
      throw new TroupeError("invalid_input", "The cursor is ahead of the journal: it is not this cluster's.");
    }
    oldest[stream] = Math.max(oldest[stream] ?? 0, horizon > 0 ? horizon - 1 : 0);
    if (position + 1 < horizon) expired = true;
  }
  if (!expired) return;
  const cursor = encodeCursor({ streams: oldest, stream: 0, skip: 0 });
  throw new TroupeError("cursor_expired", "Events after this cursor are no longer in the replay window.", {
    oldest: cursor,
  });
}

/** A leader that was away answers for a moment as it was then: an end before the position is looked at again. */
async function endOf(journal: Journal, clock: Clock, stream: number, position: number): Promise<number> {
  for (let tries = 1; ; tries++) {
    const { lastSeq } = await journal.bounds(stream);
    if (lastSeq >= position || tries === lookTries) return lastSeq;
    await clock.sleep(lookPauseMs);
  }
}
