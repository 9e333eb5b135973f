/** The mark of a restore that is not done: as long as it stands, no node starts on the store. */
import { type Bus, BusError } from "../../bus/bus.ts";

export const restoreMark = "restore";

/** Throws BusError while a restore is under way, or after one that broke off. */
export async function requireRestored(bus: Pick<Bus, "registry">): Promise<void> {
  if ((await bus.registry.get(restoreMark)) === null) return;
  throw new BusError(
    "failed",
    "A backup is being restored into this store, or its restore broke off: wait, or empty the store and restore again.",
  );
}
