/**
 * Owns what a word and a sentence are, in any script. Knows no Markdown; takes plain text.
 */
const wordPattern = /[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’_-][\p{L}\p{M}\p{N}]+)*/gu;
/** Scripts that put no spaces between words. */
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/** Intl.Segmenter's time grows with the square of a text's length, so it is given pieces. */
const pieceCharsMax = 1_000;

/** A full stop after these ends no sentence. */
const abbreviation =
  /(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|ca|approx|fig|vol|pp|ed|dr|mr|mrs|ms|prof|st|jr|sr|z\.\s?b|d\.\s?h|u\.\s?a|bzw|nr|bspw|vgl|p\.\s?ex|[a-z])\.$/i;

const wordSegmenter = new Intl.Segmenter("en", { granularity: "word" });
const sentenceSegmenters = new Map<string, Intl.Segmenter>();

/** The words of a text in order, as written. */
export function wordsOf(text: string): string[] {
  if (!unspaced.test(text)) return text.match(wordPattern) ?? [];
  const words: string[] = [];
  for (const piece of pieces(text)) {
    for (const part of wordSegmenter.segment(piece)) if (part.isWordLike === true) words.push(part.segment);
  }
  return words;
}

/** True when the text's script puts no spaces between words (reading formulas then mean nothing). */
export function isUnspaced(text: string): boolean {
  return unspaced.test(text);
}

/** The sentences of one paragraph, trimmed, blanks folded. `locale` as Intl takes it. */
export function sentencesOf(paragraph: string, locale: string): string[] {
  let segmenter = sentenceSegmenters.get(locale);
  if (segmenter === undefined) {
    segmenter = new Intl.Segmenter(locale, { granularity: "sentence" });
    sentenceSegmenters.set(locale, segmenter);
  }
  const sentences: string[] = [];
  let open = "";
  for (const piece of pieces(paragraph.replace(/\s+/g, " "))) {
    for (const { segment } of segmenter.segment(piece)) {
      open += segment;
      if (abbreviation.test(open.trimEnd())) continue;
      if (open.trim() !== "") sentences.push(open.trim());
      open = "";
    }
  }
  if (open.trim() !== "") sentences.push(open.trim());
  return sentences;
}

/** Cuts at blanks, or hard where there is none. Copies, so that no piece holds on to the whole. */
function* pieces(text: string): Iterable<string> {
  let from = 0;
  while (text.length - from > pieceCharsMax) {
    const to = cutBefore(text, from, from + pieceCharsMax);
    yield text.slice(from, to);
    from = to;
  }
  yield text.slice(from);
}

/** The best place to cut in (from, to]: after a line, a sentence, a blank; never inside a surrogate pair. */
export function cutBefore(text: string, from: number, to: number): number {
  for (const mark of ["\n", ". ", "。", " "]) {
    const at = text.lastIndexOf(mark, to - mark.length);
    if (at > from + (to - from) / 2) return at + mark.length;
  }
  const code = text.charCodeAt(to - 1);
  return code >= 0xd800 && code <= 0xdbff && to - 1 > from ? to - 1 : to;
}
