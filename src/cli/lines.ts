/**
 * Questions and typed lines at the terminal. Owns the reader of stdin; what is typed ahead is kept
 * for the next question.
 */
import { createInterface, type Interface } from "node:readline";
import { Interrupted } from "./exit.ts";
import type { Session } from "./session.ts";

interface Waiting {
  resolve(line: string | null): void;
  reject(reason: unknown): void;
}

export class LineReader {
  private lines: Interface | null = null;
  private waiting: Waiting | null = null;
  private ended = false;
  private readonly ahead: string[] = [];
  private readonly onAbort = (): void => this.fail(this.signal.reason);

  constructor(
    private readonly session: Session,
    private readonly signal: AbortSignal,
  ) {
    signal.addEventListener("abort", this.onAbort);
  }

  /**
   * One line, or null at the end of input (Ctrl-D). Throws the signal's reason, and Interrupted at
   * Ctrl-C. `draft` stands there already and may be edited.
   */
  ask(question: string, draft = ""): Promise<string | null> {
    if (this.signal.aborted) return Promise.reject(this.signal.reason);
    const { stdout } = this.session.io;
    const ahead = this.ahead.shift();
    if (ahead !== undefined || this.ended) {
      stdout.write(`${question}${ahead ?? ""}\n`);
      return Promise.resolve(ahead ?? null);
    }
    const lines = this.open();
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      lines.setPrompt(question);
      lines.prompt();
      if (draft !== "") lines.write(draft);
    });
  }

  /** Gives the terminal to someone else (an editor) until the next question. */
  pause(): void {
    const { lines } = this;
    this.lines = null;
    lines?.close();
  }

  close(): void {
    this.signal.removeEventListener("abort", this.onAbort);
    this.pause();
  }

  private open(): Interface {
    if (this.lines !== null) return this.lines;
    const { stdin, stdout } = this.session.io;
    const lines = createInterface({ input: stdin, output: stdout, terminal: true, historySize: 0 });
    lines.on("line", (line) => {
      const { waiting } = this;
      this.waiting = null;
      if (waiting === null) this.ahead.push(line);
      else waiting.resolve(line);
    });
    // In raw mode Ctrl-C is a key, not a signal.
    lines.on("SIGINT", () => {
      this.session.interrupt();
      this.fail(new Interrupted());
    });
    lines.on("close", () => {
      if (this.lines !== lines) return;
      this.ended = true;
      stdout.write("\n");
      this.waiting?.resolve(null);
      this.waiting = null;
    });
    this.lines = lines;
    return lines;
  }

  private fail(reason: unknown): void {
    this.waiting?.reject(reason);
    this.waiting = null;
    this.pause();
  }
}
