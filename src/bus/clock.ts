/**
 * Time, timers and randomness: the only place (with main.ts and config.ts) that touches the
 * real ones. Everything else is given these ports, so that a simulation can step them.
 */
export interface TimerHandle {
  cancel(): void;
}

export interface Clock {
  /** The NATS server's time in integer milliseconds since 1970; best estimate, may step. */
  now(): number;
  /** This process's monotonic clock in milliseconds; for durations and leases. */
  monotonic(): number;
  /** Calls `fn` once after `ms` (clamped to what timers can hold). */
  after(ms: number, fn: () => void): TimerHandle;
  /** Resolves after `ms`. */
  sleep(ms: number): Promise<void>;
}

export interface Random {
  /** A fresh id of 26 characters [0-9a-z], sortable by time of creation. */
  id(): string;
  /** A float in [0, 1). */
  float(): number;
}
