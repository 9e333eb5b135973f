/**
 * Pushes an agent's tasks to a socket that serves it: those granted already first, then each as it is granted. Owns
 * when to look; handing out is hand-out.ts's, the words are the protocol's.
 */
import { TroupeError } from "../../machines/errors.ts";
import type { Services } from "../operation.ts";
import { type HandedOut, nextTask } from "./hand-out.ts";

export interface ServeOptions {
  readonly services: Services;
  readonly agentId: string;
  /** Aborted when the socket has gone. */
  readonly signal: AbortSignal;
  onTask(task: HandedOut): void;
  /** A task that was granted is not wanted any more: stop working on it. */
  onWithdrawn(taskId: string): void;
  onError(error: unknown): void;
}

/** Hints may be lost: it looks by itself this often. */
const lookMs = 5_000;

/** Runs until the signal. The agent need not be registered yet. */
export function serveAgent(options: ServeOptions): void {
  const { services, agentId, signal } = options;
  let looking = false;
  let again = false;
  let timer: { cancel(): void } | undefined;
  const look = (): void => {
    again = true;
    if (looking || signal.aborted) return;
    looking = true;
    void hand().finally(() => {
      looking = false;
    });
  };
  const hand = async (): Promise<void> => {
    while (again && !signal.aborted) {
      again = false;
      try {
        for (let next = await nextTask(services, agentId, 0); next !== null; ) {
          options.onTask(next);
          next = signal.aborted ? null : await nextTask(services, agentId, 0);
        }
      } catch (error) {
        if (!isAway(error)) options.onError(error);
      }
    }
  };
  const tick = (): void => {
    timer = services.clock.after(lookMs, () => {
      look();
      if (!signal.aborted) tick();
    });
  };
  const stop = services.agentHints.listen(agentId, ({ name, data }) => {
    if (name === "granted") look();
    else if (name === "withdrawn" && typeof data.task === "string") options.onWithdrawn(data.task);
  });
  const end = (): void => {
    stop();
    timer?.cancel();
  };
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  else {
    look();
    tick();
  }
}

/** Not registered yet, silent, or its store out of reach for a moment: it is looked again. */
function isAway(error: unknown): boolean {
  return error instanceof TroupeError && (error.kind.retryable || error.code === "not_found");
}
