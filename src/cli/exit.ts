/**
 * How a command ends: the exit codes and the one error that carries them. Owns the table that
 * `troupe help exit-codes` shows. Not owned: how an error is found out (http.ts, socket.ts).
 */
export const exitCodes = {
  ok: { code: 0, means: "success" },
  refused: { code: 1, means: "the run failed, was canceled or timed out, or the server refused the command" },
  usage: { code: 2, means: "the command line is wrong; nothing was sent" },
  unreachable: { code: 3, means: "the server cannot be reached, or did not answer" },
  notFound: { code: 4, means: "there is no such run, task, workflow, agent or artifact" },
  denied: { code: 5, means: "the key is missing, wrong, or lacks the scope" },
  timedOut: { code: 6, means: "--timeout ran out; what was started goes on" },
  interrupted: { code: 130, means: "interrupted (Ctrl-C); what was started goes on" },
} as const satisfies Record<string, { code: number; means: string }>;

export type ExitName = keyof typeof exitCodes;

/** What is known about an error beyond its sentence. */
export interface ErrorFacts {
  /** The catalogue's code (`not_found`), or the client's own (`unreachable`, `usage`). */
  readonly code?: string;
  /** The server's logs carry it. */
  readonly correlationId?: string;
  /** A sentence that says what to do. */
  readonly advice?: string;
  /** True when the very same request may succeed later. */
  readonly retryable?: boolean;
  readonly details?: unknown;
}

/** An error that ends a command with an exit code. */
export class CliError extends Error {
  override readonly name = "CliError";
  constructor(
    readonly exit: ExitName,
    message: string,
    readonly facts: ErrorFacts = {},
  ) {
    super(message);
  }
}

export function usageError(message: string, advice?: string): CliError {
  return new CliError("usage", message, { code: "usage", ...(advice === undefined ? {} : { advice }) });
}

/** Aborts everything in flight: Ctrl-C was pressed. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** Aborts everything in flight: the reader of our output went away (`troupe tail | head`). */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** The table for people. */
export function exitCodeLines(): string[] {
  return Object.values(exitCodes).map(({ code, means }) => `  ${String(code).padStart(3)}  ${means}`);
}

/** `error: code: message (correlation id)`, on one line, and then what to do, on another. */
export function errorLines(error: CliError): string[] {
  const { code, correlationId, advice } = error.facts;
  const id = correlationId === undefined ? "" : ` (correlation id ${correlationId})`;
  const prefix = code === undefined || code === "usage" ? "" : `${code}: `;
  const lines = [`error: ${prefix}${error.message.replace(/\s*\n\s*/g, " ")}${id}`];
  if (advice !== undefined) lines.push(`  ${advice}`);
  return lines;
}
