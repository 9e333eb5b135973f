/** The two doors of the cluster as its clients know them: each try goes to the next one. */

export class Routes {
  #turn = 0;

  constructor(private readonly bases: readonly string[]) {}

  next(): string {
    return this.bases[this.#turn++ % this.bases.length] as string;
  }

  /** Another one than this. */
  other(base: string): string {
    const at = this.bases.indexOf(base);
    return this.bases[(at + 1) % this.bases.length] as string;
  }
}
