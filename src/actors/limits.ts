/**
 * The bounds of the runtime, in one place. Everything that can grow has one; what happens at it is said
 * beside it. Values that operators set come from config.ts through `RuntimeSettings`.
 */
export interface Limits {
  /** Steps in one group, sends within the partition included; what is over goes as mail to itself. */
  readonly groupStepsMax: number;
  /** Effects of one step; more is a fault of the machine and refuses the command. */
  readonly stepEffectsMax: number;
  /** How often a step that throws is tried before its command becomes a dead letter. */
  readonly stepTriesMax: number;
  /** Asks waiting for a partition; more answer `overloaded`. */
  readonly inboxAsksMax: number;
  /** Unacknowledged letters of one channel; asks that would add to it answer `overloaded`. */
  readonly channelBacklogMax: number;
  /** Letters in one transmission. */
  readonly lettersPerSend: number;
  /** Records written at once by a flush. */
  readonly flushParallel: number;
  /** Longest time an ask may wait, ms. */
  readonly askMsMax: number;
}

export const limits: Limits = {
  groupStepsMax: 1024,
  stepEffectsMax: 2048,
  stepTriesMax: 3,
  inboxAsksMax: 20_000,
  channelBacklogMax: 100_000,
  lettersPerSend: 256,
  flushParallel: 64,
  askMsMax: 600_000,
};

/** What an operator sets; see config.ts for names and defaults. */
export interface RuntimeSettings {
  /** How long a lease holds without renewal, ms. */
  readonly leaseMs: number;
  /** How long changed actors may wait for their record, ms. */
  readonly flushMs: number;
  /** Journal kept behind the floor for subscribers that resume, bytes per partition. */
  readonly replayBytes: number;
  /** Actors kept in memory per partition; idle ones beyond it are passivated. */
  readonly activeMax: number;
}

/** The logger the runtime writes to; pino's shape. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
