/**
 * The bus: everything the runtime needs of NATS, as small ports with two drivers (`nats/`,
 * `memory/`) that one contract suite holds together. Knows no domain.
 */
import type { Blobs } from "./blobs.ts";
import type { Clock, Random } from "./clock.ts";
import type { Journal } from "./journal.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";
import type { Wire } from "./wire.ts";

export interface Bus {
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Journal;
  readonly records: Records;
  readonly registry: Registry;
  readonly blobs: Blobs;
  readonly wire: Wire;
  close(): Promise<void>;
}

/** What is fixed at the first start and kept in the store; a mismatch refuses to start. */
export interface Layout {
  readonly partitions: number;
  readonly streams: number;
  readonly replicas: 1 | 3;
}

/** A failure of the bus that is no outcome of a port's own. `code` is stable. */
export class BusError extends Error {
  override readonly name = "BusError";
  constructor(
    readonly code: "unreachable" | "layout_mismatch" | "server_too_old" | "corrupt" | "storage_full" | "failed",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
