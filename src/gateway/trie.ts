/**
 * NATS-style patterns over dot-separated subjects: `*` is one token, `>` the rest (at least
 * one). A trie finds every pattern that a subject matches without looking at the others.
 */
import { TroupeError } from "../machines/errors.ts";

const tokensMax = 16;
const charsMax = 512;

/** Throws `invalid_input` unless the pattern is well-formed and can match an event's subject. */
export function checkPattern(pattern: string): void {
  const bad = (what: string) =>
    new TroupeError("invalid_input", `pattern: ${what}; event subjects are event.<root>.<type>.<kind>.<key>.<name>`, {
      problems: [{ path: "pattern", message: what }],
    });
  if (pattern.length > charsMax) throw bad(`longer than ${charsMax} characters`);
  const tokens = pattern.split(".");
  if (tokens.length > tokensMax) throw bad(`more than ${tokensMax} tokens`);
  tokens.forEach((token, i) => {
    if (token === "") throw bad("has an empty token");
    if (/[\s\p{Cc}]/u.test(token)) throw bad("holds white space or control characters");
    if (token === ">" && i < tokens.length - 1) throw bad("'>' may only stand last");
    if (token.length > 1 && /[*>]/.test(token)) throw bad(`'${token}' mixes a wildcard with text`);
  });
  const first = tokens[0];
  if (first !== "event" && first !== "*" && first !== ">") throw bad("does not begin with 'event'");
}

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  readonly here: Set<T>;
  readonly rest: Set<T>;
}

const newNode = <T>(): Node<T> => ({ children: new Map(), here: new Set(), rest: new Set() });

export class PatternTrie<T> {
  private readonly root: Node<T> = newNode();

  /** Adds a value under a pattern; the returned function takes it out again. */
  add(pattern: string, value: T): () => void {
    const tokens = pattern.split(".");
    const rest = tokens.at(-1) === ">";
    if (rest) tokens.pop();
    const path: Node<T>[] = [this.root];
    for (const token of tokens) {
      const node = path.at(-1) as Node<T>;
      const next = node.children.get(token) ?? newNode<T>();
      node.children.set(token, next);
      path.push(next);
    }
    const leaf = path.at(-1) as Node<T>;
    const set = rest ? leaf.rest : leaf.here;
    set.add(value);
    return () => {
      set.delete(value);
      prune(path, tokens);
    };
  }

  /** Calls `visit` with every value whose pattern matches the subject. */
  match(subject: string, visit: (value: T) => void): void {
    descend(this.root, subject.split("."), 0, visit);
  }
}

function descend<T>(node: Node<T>, tokens: readonly string[], at: number, visit: (value: T) => void): void {
  if (at === tokens.length) {
    for (const value of node.here) visit(value);
    return;
  }
  for (const value of node.rest) visit(value);
  const exact = node.children.get(tokens[at] as string);
  if (exact !== undefined) descend(exact, tokens, at + 1, visit);
  const any = node.children.get("*");
  if (any !== undefined) descend(any, tokens, at + 1, visit);
}

function prune<T>(path: readonly Node<T>[], tokens: readonly string[]): void {
  for (let i = path.length - 1; i > 0; i--) {
    const node = path[i] as Node<T>;
    if (node.children.size > 0 || node.here.size > 0 || node.rest.size > 0) return;
    (path[i - 1] as Node<T>).children.delete(tokens[i - 1] as string);
  }
}
