/**
 * What starting a nats-server needs to be told, and what it gives back. Shapes only.
 */

/** The part of the configuration that is about NATS; names as in the settings. */
export interface ServerOptions {
  /** Not empty: use these, start nothing. */
  readonly natsUrls: readonly string[];
  readonly natsServerBin?: string | undefined;
  /** 0: a free one. */
  readonly natsPort: number;
  readonly dataDir: string;
  /** Every commit, or the longest wait for the disk in milliseconds. */
  readonly sync: "always" | number;
  readonly storeBytesMax: number;
  readonly natsUser?: string | undefined;
  readonly natsPassword?: string | undefined;
  /** Directories to look for programs in, as in PATH. */
  readonly searchPath: string;
}

/** The part of a pino logger that is used. */
export interface ServerLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface NatsServer {
  readonly urls: readonly string[];
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  /** The embedded server's version; null for servers of NATS_URL, which tell theirs on connection. */
  readonly version: string | null;
  /** True when this process started (or adopted) it and stops it at the end. */
  readonly owned: boolean;
  /** The embedded server's process at this moment; null when there is none. */
  readonly pid: number | null;
  /** Called each time that a dead server was started again and answers. */
  onRestart(listener: () => void): void;
  /** Stops an owned server and frees the data directory; nothing else must use it then. Repeatable. */
  stop(): Promise<void>;
}

/** No nats-server, or it does not start, or the data directory is taken: a sentence for the operator. Exit code 1. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly exitCode = 1;
  constructor(
    readonly code: "not_found" | "too_old" | "start_failed" | "in_use",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
