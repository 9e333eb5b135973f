/** How many commands may begin per second, for all lanes together. */
const tickMs = 10;

export class Pace {
  #tokens = 0;
  #waiting: (() => void)[] = [];
  #at = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor(perSecond: number) {
    this.#timer = setInterval(() => {
      const now = performance.now();
      // Not more than a tenth of a second's worth at once: an outage is not made up for in a burst.
      this.#tokens = Math.min(perSecond / 10, this.#tokens + ((now - this.#at) * perSecond) / 1000);
      this.#at = now;
      while (this.#tokens >= 1 && this.#waiting.length > 0) {
        this.#tokens--;
        (this.#waiting.shift() as () => void)();
      }
    }, tickMs);
  }

  turn(): Promise<void> {
    if (this.#tokens >= 1 && this.#waiting.length === 0) {
      this.#tokens--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets everybody through. */
  stop(): void {
    clearInterval(this.#timer);
    for (const go of this.#waiting.splice(0)) go();
  }
}
