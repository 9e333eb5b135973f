/** Subjects of events and NATS-style patterns over them: `*` is one token, `>` the rest. */
import { toToken } from "../bus/token.ts";
import { TroupeError } from "../machines/errors.ts";
import type { LiveMessage, StoredEvent } from "./client.ts";

const patternCharsMax = 512;

export function subjectOf(e: StoredEvent): string {
  return ["event", e.root, e.type, e.kind, e.key, e.name].map(token).join(".");
}

export function liveSubjectOf(m: LiveMessage): string {
  return ["live", m.root, m.type, m.kind, m.key, m.name].map(token).join(".");
}

/** An event is stored already when its subject is made: a text that has no token must not stop anybody. */
function token(text: string): string {
  return toToken(text === "" ? "-" : text.replace(/\p{Cs}/gu, "\uFFFD"));
}

/** Throws `invalid_input` for an empty token, white space, or a `>` that is not last. */
export function parsePattern(pattern: string): readonly string[] {
  if (pattern.length > patternCharsMax)
    throw new TroupeError("invalid_input", `A pattern has at most ${patternCharsMax} characters.`);
  const tokens = pattern.split(".");
  for (const [i, token] of tokens.entries()) {
    const wild = token === "*" || token === ">";
    const bad =
      token === "" || /\s/.test(token) || (!wild && /[*>]/.test(token)) || (token === ">" && i < tokens.length - 1);
    if (bad)
      throw new TroupeError("invalid_input", `The pattern ${JSON.stringify(pattern)} is malformed at token ${i + 1}.`);
  }
  return tokens;
}

export function matches(tokens: readonly string[], subject: readonly string[]): boolean {
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === ">") return subject.length > i;
    if (i >= subject.length) return false;
    if (tokens[i] !== "*" && tokens[i] !== subject[i]) return false;
  }
  return tokens.length === subject.length;
}
