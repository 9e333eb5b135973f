/**
 * Owns counting a text and what its counts say of how hard it reads. Counts add up, so that a
 * whole document's level comes from its sections'.
 */
import { automatedReadability } from "automated-readability";
import { fleschKincaid } from "flesch-kincaid";
import { syllable } from "syllable";
import { z } from "zod";
import type { Language } from "./language.ts";

export const countsSchema = z.object({
  characters: z.number(),
  words: z.number(),
  sentences: z.number(),
  /** English only; 0 elsewhere. */
  syllables: z.number(),
});
export type Counts = z.infer<typeof countsSchema>;

export const readingLevelSchema = z.object({
  formula: z.enum(["flesch-kincaid", "automated-readability"]),
  /** Years of school. */
  grade: z.number(),
  label: z.enum(["easy", "plain", "demanding", "hard"]),
});
export type ReadingLevel = z.infer<typeof readingLevelSchema>;

export const noCounts: Counts = { characters: 0, words: 0, sentences: 0, syllables: 0 };

const wordsPerMinute = 230;
/** Fewer words say nothing about a text. */
const wordsMin = 30;

export function countText(words: readonly string[], sentences: number, language: Language): Counts {
  let characters = 0;
  let syllables = 0;
  for (const word of words) {
    characters += word.length;
    if (language === "eng") syllables += syllable(word);
  }
  return { characters, words: words.length, sentences, syllables };
}

export function addCounts(a: Counts, b: Counts): Counts {
  return {
    characters: a.characters + b.characters,
    words: a.words + b.words,
    sentences: a.sentences + b.sentences,
    syllables: a.syllables + b.syllables,
  };
}

/**
 * Flesch-Kincaid for English, the Automated Readability Index elsewhere; null for too little
 * text, and for languages without spaces between words, where neither means anything.
 */
export function readingLevel(counts: Counts, language: Language, unspaced: boolean): ReadingLevel | null {
  if (unspaced || counts.words < wordsMin || counts.sentences === 0) return null;
  const english = language === "eng" && counts.syllables > 0;
  const grade = english
    ? fleschKincaid({ sentence: counts.sentences, word: counts.words, syllable: counts.syllables })
    : automatedReadability({ sentence: counts.sentences, word: counts.words, character: counts.characters });
  const rounded = Math.max(0, Math.round(grade * 10) / 10);
  return { formula: english ? "flesch-kincaid" : "automated-readability", grade: rounded, label: labelOf(rounded) };
}

function labelOf(grade: number): ReadingLevel["label"] {
  if (grade < 6) return "easy";
  if (grade < 10) return "plain";
  return grade < 14 ? "demanding" : "hard";
}

export function readingMinutes(counts: Counts): number {
  return Math.max(1, Math.round(counts.words / wordsPerMinute));
}
