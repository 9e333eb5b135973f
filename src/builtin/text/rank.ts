/**
 * Owns which sentences say most: scored by how frequent their terms are (SumBasic's idea:
 * Nenkova and Vanderwende 2005), and chosen so that they do not repeat each other.
 */
export interface Sentence {
  readonly text: string;
  /** Place in the document or section, ascending. */
  readonly position: number;
}

export interface Ranked extends Sentence {
  readonly score: number;
}

export const sentenceCharsMax = 400;
const sentenceWordsMin = 5;
const sentenceCharsMin = 12;
/** Share of common terms from which one sentence repeats another. */
const overlapMax = 0.6;

/** True for what can stand alone in a summary: neither a fragment nor endless. */
export function isQuotable(text: string, words: number): boolean {
  if (text.length < sentenceCharsMin || text.length > sentenceCharsMax || text.endsWith(":")) return false;
  return words >= sentenceWordsMin && /[.!?。！？…"”)]$/.test(text);
}

/**
 * Mean weight of a sentence's terms, with a little for standing early. `terms` are the
 * sentence's folded content words, `words` the number of all its words.
 */
export function scoreSentence(
  terms: readonly string[],
  words: number,
  weights: ReadonlyMap<string, number>,
  earliness: number,
): number {
  if (terms.length === 0) return 0;
  let sum = 0;
  for (const term of new Set(terms)) sum += weights.get(term) ?? 0;
  const mean = sum / Math.sqrt(terms.length);
  // Dense sentences first, but neither a list of terms nor a sentence of sixty words.
  const length = words > 40 ? 40 / words : 1;
  return mean * length * (1 + 0.25 * earliness);
}

/** The best `max` that do not repeat each other, in the order of the text. */
export function chooseSentences<T extends Ranked>(
  ranked: readonly T[],
  termsOf: (s: T) => readonly string[],
  max: number,
): T[] {
  const sorted = [...ranked].sort((a, b) => b.score - a.score || a.position - b.position);
  const chosen: { sentence: T; terms: ReadonlySet<string> }[] = [];
  for (const sentence of sorted) {
    if (chosen.length >= max || sentence.score <= 0) break;
    const terms = new Set(termsOf(sentence));
    if (chosen.some((other) => overlap(terms, other.terms) > overlapMax)) continue;
    chosen.push({ sentence, terms });
  }
  return chosen.map(({ sentence }) => sentence).sort((a, b) => a.position - b.position);
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let common = 0;
  for (const term of a) if (b.has(term)) common++;
  return common / Math.max(1, Math.min(a.size, b.size));
}
