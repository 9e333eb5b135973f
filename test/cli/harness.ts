/**
 * Runs the command line in this process against streams that can be read and typed into.
 */
import { PassThrough, Writable } from "node:stream";
import { createSystemClock, systemRandom } from "../../src/bus/system-clock.ts";
import { type CliEnvironment, type CliIo, runCli } from "../../src/cli/index.ts";

class Sink extends Writable {
  text = "";
  isTTY = false;
  columns = 80;
  rows = 24;
  /** Fails each write like a pipe whose reader has gone. */
  broken = false;
  private readonly waiting = new Set<() => void>();

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.broken) done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    else {
      this.text += String(chunk);
      for (const look of this.waiting) look();
      done();
    }
  }

  /** Resolves when the text holds `part`; the test's own time-out bounds it. */
  async shows(part: string | RegExp): Promise<void> {
    const found = (): boolean => (typeof part === "string" ? this.text.includes(part) : part.test(this.text));
    if (found()) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!found()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
    });
  }
}

export interface Cli {
  readonly out: Sink;
  readonly err: Sink;
  readonly stdin: PassThrough & { isTTY?: boolean };
  readonly code: Promise<number>;
  interrupt(): void;
}

export interface CliSetup {
  readonly tty?: boolean;
  readonly columns?: number;
  readonly environment?: CliEnvironment;
  readonly start?: (flags: Readonly<Record<string, unknown>>) => Promise<number>;
}

export function cli(argv: readonly string[], setup: CliSetup = {}): Cli {
  const out = new Sink();
  const err = new Sink();
  const stdin: PassThrough & { isTTY?: boolean } = new PassThrough();
  const tty = setup.tty === true;
  Object.assign(out, { isTTY: tty, columns: setup.columns ?? 80 });
  stdin.isTTY = tty;
  const interrupts = new Set<() => void>();
  const io: CliIo = {
    stdin,
    stdout: out,
    stderr: err,
    clock: createSystemClock(),
    random: systemRandom,
    onInterrupt(fn) {
      interrupts.add(fn);
      return () => interrupts.delete(fn);
    },
  };
  const start = setup.start ?? (() => Promise.resolve(0));
  const code = runCli(argv, io, { environment: setup.environment ?? {}, version: "0.0.0", start });
  return { out, err, stdin, code, interrupt: () => interrupts.forEach((fn) => void fn()) };
}

/** Lines of JSON as values. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
