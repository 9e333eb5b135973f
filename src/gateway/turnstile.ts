/**
 * Lets a bounded number in at once; the others wait in line. Owns no time: who no longer wants in aborts.
 */
export class Turnstile {
  private free: number;
  private readonly line = new Set<() => void>();

  constructor(places: number) {
    this.free = places;
  }

  /** Resolves with the way out (call it once) when there is a place, or the signal has aborted. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) return () => undefined;
    if (this.free > 0) this.free--;
    else if (!(await this.wait(signal))) return () => undefined;
    return () => this.leave();
  }

  /** The place goes straight to who has waited longest. */
  private leave(): void {
    const [first] = this.line;
    if (first === undefined) this.free++;
    else first();
  }

  /** False when the signal aborts first. */
  private wait(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (entered: boolean): void => {
        this.line.delete(enter);
        signal.removeEventListener("abort", abandon);
        resolve(entered);
      };
      const enter = (): void => done(true);
      const abandon = (): void => done(false);
      this.line.add(enter);
      signal.addEventListener("abort", abandon, { once: true });
    });
  }
}
