/**
 * A bounded read over an ordered reader: messages from a sequence to an end that the stream's
 * leader names, with backpressure. Ends exactly there, also when that message goes away meanwhile.
 */
import type { Msg } from "@nats-io/transport-node";
import type { JetStreamApi } from "./api.ts";
import type { BusLogger } from "./options.ts";
import { OrderedReader } from "./reader.ts";

export interface RangeOptions {
  readonly stream: string;
  readonly subjects: readonly string[];
  readonly fromSeq: number;
  readonly headersOnly?: boolean;
  /** The last sequence to read, as the leader knows it now; 0 when there is nothing. Asked again when the server falls silent. */
  readonly end: () => Promise<number>;
}

export interface RangeMessage {
  readonly msg: Msg;
  readonly seq: number;
  readonly at: number;
}

const HEARTBEAT_MS = 500;

export async function* readRange(
  api: JetStreamApi,
  logger: BusLogger,
  options: RangeOptions,
): AsyncGenerator<RangeMessage[], void, void> {
  const end = await options.end();
  if (end < options.fromSeq) return;
  let queue: RangeMessage[] = [];
  let answers: (() => void)[] = [];
  let reached = false;
  let idle = false;
  let wake: (() => void) | undefined;
  const reader = new OrderedReader(api, logger, {
    stream: options.stream,
    subjects: options.subjects,
    fromSeq: options.fromSeq,
    heartbeatMs: HEARTBEAT_MS,
    ...(options.headersOnly ? { headersOnly: true } : {}),
    onMessage: (msg, seq, at) => {
      if (reached) return;
      if (seq <= end) queue.push({ msg, seq, at });
      if (seq >= end) reached = true;
      wake?.();
    },
    onFlow: (answer) => {
      answers.push(answer);
      wake?.();
    },
    onIdle: () => {
      idle = true;
      wake?.();
    },
  });
  try {
    await reader.start();
    for (;;) {
      if (queue.length > 0) {
        const batch = queue;
        queue = [];
        yield batch;
        continue;
      }
      for (const answer of answers) answer();
      answers = [];
      if (reached) return;
      if (idle) {
        idle = false;
        // Nothing more comes although the end was not seen: perhaps it is not there any more.
        if (await ended(options, end, reader)) return;
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  } finally {
    reader.stop();
  }
}

/** True when the leader has no message left between what was read and the end. */
async function ended(options: RangeOptions, end: number, reader: OrderedReader): Promise<boolean> {
  const before = reader.readUpTo;
  const now = await options.end();
  return Math.min(now, end) <= before;
}
