/** What `connectNats` is given. */
import type { TlsOptions } from "@nats-io/transport-node";
import type { Layout } from "../bus.ts";

/** A logger in pino's manner. */
export interface BusLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface NatsOptions {
  readonly servers: string | readonly string[];
  /** Shown in the server's connection list. */
  readonly name?: string;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Content of a `.creds` file. */
  readonly creds?: string;
  /** An nkey's seed. */
  readonly nkey?: string;
  readonly tls?: TlsOptions;
  readonly inboxPrefix?: string;
  /** Used at the very first start only; afterwards what is stored holds, and another wish is refused. */
  readonly layout?: Partial<Layout>;
  /** Only a store that is set up already: nothing is made, what is missing is an error. */
  readonly existing?: boolean;
  readonly logger?: BusLogger;
  /** How long the first connection and JetStream may take. Default 20 000. */
  readonly startTimeoutMs?: number;
  /** After this long a write without an answer is `unknown`. Default 2 000. */
  readonly writeTimeoutMs?: number;
  /** Reads go on trying this long, then throw `unreachable`. Default 10 000. */
  readonly readTimeoutMs?: number;
}

export const silentLogger: BusLogger = { info() {}, warn() {}, error() {} };
