/** Stopping what runs in a session. A session that is not there has nothing to stop. */
import { address } from "../../machines/address.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { Services } from "../operation.ts";

/** `id`: the session's short name of the run; absent: whatever runs or waits. */
export async function cancelRun(
  services: Services,
  session: string,
  id: string | undefined,
  reason: string,
): Promise<void> {
  const command = { type: "session.cancel_run", ...(id === undefined ? {} : { id }), reason };
  try {
    await services.runtime.ask(address("session", session), command, { timeoutMs: services.limits.askTimeoutMs });
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "not_found") throw error;
  }
}
