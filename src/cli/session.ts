/**
 * One invocation of a client command: the API, the streams, colours, and the signal that ends it.
 * Owns Ctrl-C and a closed output (EPIPE). Not owned: what the command does.
 */
import { Interrupted, OutputClosed, usageError } from "./exit.ts";
import { createPaint, type Paint } from "./format.ts";
import { Api } from "./http.ts";
import type { CliEnvironment, CliIo } from "./io.ts";
import type { Canvas } from "./view.ts";

export const urlDefault = "http://127.0.0.1:8000";

export interface GlobalFlags {
  readonly url?: string;
  readonly key?: string;
  /** commander's form of `--no-color`. */
  readonly color?: boolean;
}

export class Session {
  readonly api: Api;
  readonly paint: Paint;
  readonly stop: AbortSignal;
  private readonly ending = new AbortController();
  private readonly releases: (() => void)[] = [];

  constructor(
    readonly io: CliIo,
    readonly environment: CliEnvironment,
    flags: GlobalFlags,
  ) {
    this.stop = this.ending.signal;
    const base = parseUrl(flags.url ?? environment.url ?? urlDefault);
    const key = flags.key ?? environment.key;
    this.api = new Api({ base, key: key === "" ? undefined : key, clock: io.clock, stop: this.stop });
    const color = io.stdout.isTTY === true && flags.color !== false && environment.noColor !== true;
    this.paint = createPaint(color);
    this.releases.push(io.onInterrupt(() => this.interrupt()));
    for (const stream of [io.stdout, io.stderr]) {
      const onError = (error: NodeJS.ErrnoException): void => {
        const gone = error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED";
        this.ending.abort(gone ? new OutputClosed() : error);
      };
      stream.on("error", onError);
      // The listener stays: a late EPIPE after the command is done must not crash the process.
    }
  }

  /** True when a human can be asked: both ends are terminals. */
  get interactive(): boolean {
    return this.io.stdin.isTTY === true && this.io.stdout.isTTY === true;
  }

  get canvas(): Canvas {
    const { columns, rows } = this.io.stdout;
    return { columns: Math.max(20, columns ?? 80), rows: Math.max(6, rows ?? 24), paint: this.paint };
  }

  /** As if Ctrl-C had been pressed. */
  interrupt(): void {
    this.ending.abort(new Interrupted());
  }

  /** A line of the result. */
  print(line: string): void {
    if (!this.stop.aborted || !(this.stop.reason instanceof OutputClosed)) this.io.stdout.write(`${line}\n`);
  }

  printAll(lines: readonly string[]): void {
    if (lines.length > 0) this.print(lines.join("\n"));
  }

  /** A line about the work, not the result: goes to stderr. */
  note(line: string): void {
    this.io.stderr.write(`${line}\n`);
  }

  json(value: unknown): void {
    this.print(JSON.stringify(value, null, this.io.stdout.isTTY === true ? 2 : undefined));
  }

  /** Resolves when the output takes more; undefined when it does already. */
  drained(): Promise<void> | undefined {
    const { stdout } = this.io;
    if (!stdout.writableNeedDrain) return undefined;
    return new Promise((resolve) => stdout.once("drain", resolve));
  }

  release(): void {
    for (const release of this.releases.splice(0)) release();
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw usageError(`not an http(s) address: ${text}`, "Give it as http://host:port by --url or TROUPE_URL.");
}
