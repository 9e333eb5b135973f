/**
 * Owns which language a text is in, and that language's common words and locale. An unknown
 * language is nobody's error: it has no common words, and everything else goes on.
 */
import { francAll } from "franc-min";
import * as stopword from "stopword";
import { wordsOf } from "./words.ts";

/** ISO 639-3; `und`: not known. */
export type Language = string;

const sampleCharsMax = 20_000;
const candidatesMax = 5;

/** Where the detector's code (one language) differs from the lists' (its family's). */
const families: Readonly<Record<string, string>> = {
  arb: "ara",
  cmn: "zho",
  ekk: "est",
  pes: "fas",
  swh: "swa",
  zlm: "msa",
};

/** Words that the lists lack and that are no terms. */
const additions: Readonly<Record<string, string>> = {
  eng: "its one not per two three first again also may might can cannot must should would could will shall via yes no e.g i.e etc don't doesn't isn't aren't it's that's there's let's each other others another whose without within upon use uses used using",
};

const lists = stopword as unknown as Readonly<Record<string, unknown>>;
const sets = new Map<Language, ReadonlySet<string>>();
const none: ReadonlySet<string> = new Set();

/** The language's common words in lower case; empty when there is no list. */
export function commonWords(language: Language): ReadonlySet<string> {
  const known = sets.get(language);
  if (known !== undefined) return known;
  const list = /^[a-z]{3}$/.test(language) ? lists[families[language] ?? language] : undefined;
  const added = additions[language]?.split(" ") ?? [];
  const words = Array.isArray(list)
    ? new Set([...(list as string[]), ...added].map((word) => word.toLowerCase()))
    : none;
  if (words.size > 0) sets.set(language, words);
  return words;
}

/**
 * Guesses by trigrams, and lets the common words decide between the nearest: trigrams alone
 * take a short English text for Scots or Dutch.
 */
export function detectLanguage(text: string): Language {
  const sample = text.slice(0, sampleCharsMax);
  const candidates = francAll(sample, { minLength: 10 }).slice(0, candidatesMax);
  const words = wordsOf(sample).map((word) => word.toLowerCase());
  let best: Language = "und";
  let bestShare = 0;
  for (const code of new Set([...candidates.map(([code]) => code), "eng"])) {
    const common = commonWords(code);
    const share = words.filter((word) => common.has(word)).length / Math.max(1, words.length);
    if (share > bestShare) [best, bestShare] = [code, share];
  }
  const first = candidates[0]?.[0] ?? "und";
  // Languages without a list, or without spaces, show no common words: the trigrams have it.
  return bestShare < 0.1 && commonWords(first).size === 0 ? first : bestShare === 0 ? "und" : best;
}

/** A locale for Intl; English rules where the language is not known. */
export function localeOf(language: Language): string {
  if (!/^[a-z]{3}$/.test(language) || language === "und") return "en";
  return Intl.Segmenter.supportedLocalesOf([language])[0] ?? "en";
}

/** `German`, or the code itself. */
export function languageName(language: Language): string {
  if (language === "und") return "unknown";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(language) ?? language;
  } catch {
    return language;
  }
}
