/**
 * Owns which terms a text is about: its words and pairs of neighbours that are not common ones,
 * counted. Knows no sections.
 */
import { commonWords, type Language } from "./language.ts";

export interface Term {
  readonly term: string;
  readonly count: number;
}

const termCharsMax = 60;

/** A word as a term: folded, or null for common words, numbers and single letters. */
export function foldWord(word: string, common: ReadonlySet<string>): string | null {
  const folded = word
    .normalize("NFC")
    .toLowerCase()
    .replace(/['’]s$/, "");
  if (folded.length > termCharsMax || common.has(folded) || common.has(folded.replaceAll("’", "'"))) return null;
  if (/^[\p{N}\p{P}]+$/u.test(folded)) return null;
  const short = folded.length < 3 && !/[\p{Script=Han}\p{Script=Hangul}]/u.test(folded);
  return short ? null : folded;
}

/** Content words of each sentence, in order; null where a common word stood. */
export function foldWords(words: readonly string[], language: Language): (string | null)[] {
  const common = commonWords(language);
  return words.map((word) => foldWord(word, common));
}

/** Counts single terms, and pairs of neighbours that come at least twice. */
export function countTerms(sentences: readonly (readonly (string | null)[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  const pairs = new Map<string, number>();
  for (const words of sentences) {
    let before: string | null = null;
    for (const word of words) {
      if (word !== null) {
        counts.set(word, (counts.get(word) ?? 0) + 1);
        if (before !== null) pairs.set(`${before} ${word}`, (pairs.get(`${before} ${word}`) ?? 0) + 1);
      }
      before = word;
    }
  }
  for (const [pair, count] of pairs) if (count >= 2) counts.set(pair, count);
  return counts;
}

/** English plurals count as their singular where both come: `lease` and `leases` are one term. */
export function foldPlurals(counts: Map<string, number>, language: Language): Map<string, number> {
  if (language !== "eng") return counts;
  for (const [term, count] of counts) {
    const singular = term.endsWith("s") ? counts.get(term.slice(0, -1)) : undefined;
    if (singular === undefined) continue;
    counts.set(term.slice(0, -1), singular + count);
    counts.delete(term);
  }
  return counts;
}

/** The most frequent, in a fixed order; a word that only occurs inside of a chosen pair is left out. */
export function topTerms(counts: ReadonlyMap<string, number>, max: number): Term[] {
  const weight = (term: string, count: number) => (term.includes(" ") ? count * 1.6 : count);
  const sorted = [...counts].sort(([a, n], [b, m]) => weight(b, m) - weight(a, n) || (a < b ? -1 : 1));
  const chosen: Term[] = [];
  const covered = new Map<string, number>();
  for (const [term, count] of sorted) {
    if (chosen.length >= max) break;
    if (count <= (covered.get(term) ?? 0)) continue;
    for (const word of term.split(" ")) if (word !== term) covered.set(word, Math.max(covered.get(word) ?? 0, count));
    chosen.push({ term, count });
  }
  return chosen;
}
