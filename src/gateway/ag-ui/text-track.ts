/**
 * One streamed message (text or reasoning) as a client sees it: live pieces in order, then the committed whole.
 * Owns the rule of what a client is shown: never the same text twice, and never less than what was committed.
 * Pure.
 */

/** A live piece: `at` is its place in the message; a higher attempt or request began the message anew. */
export interface Piece {
  readonly attempt: number;
  readonly request: number;
  readonly at: number;
  readonly text: string;
}

export class TextTrack {
  /** What the client has been shown. */
  shown: string;
  #attempt = 0;
  #request = 0;
  /** What the current attempt has said, while it repeats what was shown. */
  #said = "";
  /** Pieces are missing, or the new attempt says something else: the committed message decides. */
  #lost = false;

  constructor(shown = "") {
    this.shown = shown;
  }

  /** The text to show now; empty: none. */
  push(piece: Piece): string {
    if (piece.attempt < this.#attempt || (piece.attempt === this.#attempt && piece.request < this.#request)) return "";
    if (piece.attempt !== this.#attempt || piece.request !== this.#request) {
      this.#attempt = piece.attempt;
      this.#request = piece.request;
      this.#said = "";
      this.#lost = false;
    }
    if (this.#lost || piece.at > this.#said.length) {
      this.#lost = true;
      return "";
    }
    this.#said += piece.text.slice(this.#said.length - piece.at);
    if (this.shown.startsWith(this.#said)) return "";
    if (!this.#said.startsWith(this.shown)) {
      this.#lost = true;
      return "";
    }
    const more = this.#said.slice(this.shown.length);
    this.shown = this.#said;
    return more;
  }

  /** What is missing of the committed text; null: what was shown is something else, and has to be replaced. */
  finish(whole: string): string | null {
    if (!whole.startsWith(this.shown)) return null;
    const rest = whole.slice(this.shown.length);
    this.shown = whole;
    return rest;
  }
}
