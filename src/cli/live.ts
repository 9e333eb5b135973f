/**
 * A region of the terminal that is redrawn in place. Owns cursor movement; not owned: the lines.
 */
import stringWidth from "string-width";
import type { OutputStream } from "./io.ts";

export class LiveRegion {
  private drawn: readonly string[] = [];

  constructor(private readonly out: OutputStream) {}

  /** Replaces the region's lines; writes nothing when they are the same. */
  draw(lines: readonly string[]): void {
    if (lines.length === this.drawn.length && lines.every((line, index) => line === this.drawn[index])) return;
    this.out.write(`${this.home()}${lines.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`);
    this.drawn = lines;
  }

  /** Prints lines that stay, above the region. */
  above(lines: readonly string[]): void {
    this.out.write(`${this.home()}\u001b[J${[...lines, ...this.drawn].map((line) => `${line}\n`).join("")}`);
  }

  /** Leaves what is drawn where it is; the next drawing begins below it. */
  leave(): void {
    this.drawn = [];
  }

  /** To the region's first column and row. A terminal made narrower since has wrapped its lines. */
  private home(): string {
    const columns = Math.max(1, this.out.columns ?? 80);
    const rows = this.drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(stringWidth(line) / columns)), 0);
    return rows === 0 ? "" : `\r\u001b[${rows}A`;
  }
}
