/**
 * A bounded queue between what happens (stored events, live pieces) and one slow reader. Owns order and the
 * bound: stored items wait for room, live ones are dropped when there is none (the stored whole supplies them).
 */
const itemsMax = 512;

export class Merged<T> {
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;
  #room: (() => void) | undefined;
  #closed = false;
  #error: unknown;

  get full(): boolean {
    return this.#items.length >= itemsMax;
  }

  /** Whoever offers looks first whether it is full: what does not go in is lost. */
  offer(items: readonly T[]): void {
    if (this.#closed) return;
    this.#items.push(...items);
    this.#wake?.();
  }

  /** Resolves when it is in (or nobody reads any more). */
  async put(item: T): Promise<void> {
    while (this.full && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    }
    if (this.#closed) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** No more comes; with an error, the reader gets it after what is in. */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#wake?.();
    this.#room?.();
  }

  async *read(): AsyncGenerator<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        this.#room?.();
        yield item;
      } else if (this.#closed) {
        if (this.#error !== undefined) throw this.#error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
