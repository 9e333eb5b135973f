/**
 * What the client is given of its surroundings: three streams, a clock, randomness, the Ctrl-C
 * signal. Owns the ports and their real driver. Not owned: what is written (view.ts, format.ts).
 */
import type { Readable, Writable } from "node:stream";
import type { Clock, Random } from "../bus/clock.ts";

export type InputStream = Readable & { readonly isTTY?: boolean };
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

export interface CliIo {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls `fn` at each Ctrl-C until the returned function is called. */
  onInterrupt(fn: () => void): () => void;
}

/** What `src/config.ts` read from the environment for the client. */
export interface CliEnvironment {
  /** TROUPE_URL */
  readonly url?: string | undefined;
  /** TROUPE_API_KEY */
  readonly key?: string | undefined;
  /** NO_COLOR is set and not empty. */
  readonly noColor?: boolean | undefined;
  /** VISUAL or EDITOR: a shell command that is given the file's name. */
  readonly editor?: string | undefined;
}

/** The process's own streams and signal. */
export function processIo(clock: Clock, random: Random): CliIo {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    clock,
    random,
    onInterrupt(fn) {
      process.on("SIGINT", fn);
      return () => process.off("SIGINT", fn);
    },
  };
}

/** Resolves after `ms`; throws the signal's reason as soon as it is aborted. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = (): void => {
      timer.cancel();
      reject(signal.reason);
    };
    const timer = clock.after(ms, () => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    signal.addEventListener("abort", abort, { once: true });
  });
}
