/** What a partition is given by the node that owns it. Shapes only. */
import { type Bus, BusError } from "../bus/bus.ts";
import type { Codec } from "../bus/codec.ts";
import type { Address } from "../machines/address.ts";
import { TroupeError } from "../machines/errors.ts";
import type { NumberedLetter } from "./channels.ts";
import type { StoredEvent } from "./client.ts";
import type { WorkName } from "./custody.ts";
import type { Logger, RuntimeSettings } from "./limits.ts";
import type { Measures } from "./measures.ts";
import type { Stepper } from "./step.ts";
import type { Work } from "./work.ts";

export interface PartitionEnvironment {
  readonly bus: Bus;
  readonly codec: Codec;
  readonly steppers: ReadonlyMap<string, Stepper>;
  readonly boot: string;
  readonly settings: RuntimeSettings;
  readonly logger: Logger;
  readonly measures: Measures;
  partitionOf(root: string): number;
  startWork(work: Work): void;
  /** The work is settled; `boot`: the process that was given it. */
  abortWork(address: Address, id: string, boot: string): void;
  holdsWork(address: Address, id: string): boolean;
  askCustody(boot: string, names: readonly WorkName[]): Promise<readonly WorkName[] | null>;
  /** Hands letters to the owner of a partition; resolves with the number up to which it has applied them. */
  deliverMail(to: number, from: number, letters: readonly NumberedLetter[]): Promise<number>;
  /** Events of a stored group, for live listeners. */
  announce(events: readonly StoredEvent[]): void;
  /** False when the process of that boot is known to be gone. */
  isLive(boot: string): boolean;
  /** False when this node's lease ran out by its own clock: nothing may be read from memory then. */
  holdsLease(): boolean;
  /** Asks the registry whether the lease of this partition still names this process. */
  confirmLease(): Promise<boolean>;
  /** The partition stopped by itself: lost to another owner, or by a fault that needs an operator. */
  onStopped(partition: number, cause: "lost" | Error): void;
}

/** True when the store did not answer: nothing is wrong with what it holds, so the partition may be taken over again. */
export function isOutage(error: unknown): boolean {
  return error instanceof BusError && error.code === "unreachable";
}

/** For asks whose outcome the loss of the partition left open. */
export function moved(partition: number): TroupeError {
  return new TroupeError(
    "moved",
    `Partition ${partition} changed its owner; whether the command took effect is unknown.`,
  );
}
