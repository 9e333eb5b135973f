/**
 * Where a text stops being JSON (RFC 8259). Only runs after `JSON.parse` has refused the text,
 * because engines tell the place in some messages only; it builds no values.
 */
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const escaped = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const space = /[ \t\n\r]*/y;
const words = ["true", "false", "null"] as const;

type Expected = "value" | "first" | "key" | "colon" | "after";

class Scanner {
  at = 0;
  private readonly text: string;
  private readonly open: ("{" | "[")[] = [];
  private expected: Expected = "value";

  constructor(text: string) {
    this.text = text;
  }

  private run(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    const found = pattern.test(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  /** A loop and not one pattern: a pattern over megabytes exhausts the engine's stack. */
  private string(): boolean {
    this.at++;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (Number.isNaN(code) || code < 0x20) return false;
      if (code === 0x5c) {
        if (!this.run(escaped)) return false;
      } else {
        this.at++;
        if (code === 0x22) return true;
      }
    }
  }

  private close(c: string): boolean {
    if (this.open.length === 0 || c !== (this.open.at(-1) === "{" ? "}" : "]")) return false;
    this.open.pop();
    this.at++;
    this.expected = "after";
    return true;
  }

  private value(c: string): boolean {
    if (c === "{" || c === "[") {
      this.open.push(c);
      this.at++;
      this.expected = "first";
      return true;
    }
    this.expected = "after";
    if (c === '"') return this.string();
    const word = words.find((w) => this.text.startsWith(w, this.at));
    if (word === undefined) return this.run(number);
    this.at += word.length;
    return true;
  }

  /** Takes one token; false when it cannot stand here (`at` is then its place, or inside it). */
  private token(c: string): boolean {
    const inObject = this.open.at(-1) === "{";
    if (this.expected === "first" && this.close(c)) return true;
    if (this.expected === "after") {
      if (this.open.length === 0 || c !== ",") return this.close(c);
      this.at++;
      this.expected = inObject ? "key" : "value";
      return true;
    }
    if (this.expected === "colon") {
      if (c !== ":") return false;
      this.at++;
      this.expected = "value";
      return true;
    }
    if (this.expected === "key" || (this.expected === "first" && inObject)) {
      this.expected = "colon";
      return c === '"' && this.string();
    }
    return this.value(c);
  }

  scan(): number {
    for (;;) {
      this.run(space);
      const c = this.text[this.at];
      if (c === undefined || !this.token(c)) return Math.min(this.at, this.text.length);
    }
  }
}

/** Offset (UTF-16) of the first character that cannot stand where it is; the length when the text just ends. */
export function faultOffset(text: string): number {
  return new Scanner(text).scan();
}
