/**
 * Agent `section-analyst`: one section in; its key sentences, terms, reading level, links and
 * to-dos out. No model: everything is counted.
 */
import { defineAgent } from "../../actors/agent.ts";
import { localeOf } from "../text/language.ts";
import { readProse } from "../text/markdown.ts";
import { chooseSentences, isQuotable, type Ranked, scoreSentence, sentenceCharsMax } from "../text/rank.ts";
import { countText, readingLevel } from "../text/readability.ts";
import { countTerms, foldPlurals, foldWords, topTerms } from "../text/terms.ts";
import { findTodos } from "../text/todos.ts";
import { isUnspaced, sentencesOf, wordsOf } from "../text/words.ts";
import { type Analysis, analyseInputSchema, analysisSchema, type Section } from "./schema.ts";

export const sentencesPerSection = 3;
const termsPerSection = 30;
const linksPerSection = 300;
const todosPerSection = 150;

export const sectionAnalyst = defineAgent({
  type: "section-analyst",
  description: "Finds a section's key sentences, terms, reading level, links and to-dos.",
  capabilities: ["text.analyse"],
  concurrency: 4,
  input: analyseInputSchema,
  output: analysisSchema,
  run: (_ctx, { language, section }) => analyseSection(section, language),
});

interface Measured extends Ranked {
  /** False for headings and table cells. */
  readonly prose: boolean;
  /** Folded content words; null where a common word stands. */
  readonly folded: readonly (string | null)[];
  readonly words: number;
}

/** Pure: the same section gives the same analysis. */
export function analyseSection(section: Section, language: string): Analysis {
  const prose = readProse(section.text);
  const locale = localeOf(language);
  const unspaced = isUnspaced(section.text);
  const sentences: Measured[] = [];
  const allWords: string[] = [];
  let prosaic = 0;
  for (const paragraph of prose.paragraphs) {
    for (const text of sentencesOf(paragraph.text, locale)) {
      const words = wordsOf(text);
      const inProse = paragraph.kind === "text" || paragraph.kind === "item";
      const folded = foldWords(words, language);
      sentences.push({ text, position: sentences.length, score: 0, prose: inProse, folded, words: words.length });
      if (!inProse) continue;
      for (const word of words) allWords.push(word);
      if (words.length > 0) prosaic++;
    }
  }
  const counts = countText(allWords, prosaic, language);
  const terms = foldPlurals(countTerms(sentences.map((s) => s.folded)), language);
  return {
    index: section.index,
    title: section.title,
    level: section.level,
    method: "extractive",
    counts,
    unspaced,
    readingLevel: readingLevel(counts, language, unspaced),
    sentences: keySentences(sentences, terms, section.title, language),
    terms: topTerms(terms, termsPerSection),
    links: uniqueLinks(prose.links).slice(0, linksPerSection),
    todos: findTodos(
      section.text,
      prose.tasks,
      sentences.map((s) => s.text),
      language,
    ).slice(0, todosPerSection),
  };
}

function keySentences(
  sentences: readonly Measured[],
  terms: ReadonlyMap<string, number>,
  title: string,
  language: string,
): Analysis["sentences"] {
  const weights = new Map(terms);
  // What the heading names, the section is about.
  for (const word of foldWords(wordsOf(title), language)) {
    if (word !== null && weights.has(word)) weights.set(word, (weights.get(word) ?? 0) * 1.5);
  }
  const prose = sentences.filter((sentence) => sentence.prose && sentence.text.length <= sentenceCharsMax);
  const quotable = prose.filter((sentence) => isQuotable(sentence.text, sentence.words));
  // A list of keywords or a poem has no sentences with an end: better its lines than nothing.
  const ranked = (quotable.length > 0 ? quotable : prose.filter((sentence) => sentence.words >= 3)).map(
    (sentence): Measured => {
      const earliness = 1 - sentence.position / sentences.length;
      return { ...sentence, score: scoreSentence(contentOf(sentence), sentence.words, weights, earliness) };
    },
  );
  const best = chooseSentences(ranked, contentOf, sentencesPerSection);
  const top = Math.max(...best.map((sentence) => sentence.score), 1e-9);
  return best
    .sort((a, b) => b.score - a.score || a.position - b.position)
    .map(({ text, position, score }) => ({ text, position, score: Math.round((score / top) * 1_000) / 1_000 }));
}

function contentOf(sentence: Measured): readonly string[] {
  return sentence.folded.filter((word): word is string => word !== null);
}

/** The first of each address; one that has a text of its own wins over a bare one. */
export function uniqueLinks<L extends { readonly url: string; readonly text: string }>(links: readonly L[]): L[] {
  const byUrl = new Map<string, L>();
  for (const link of links) {
    const known = byUrl.get(link.url);
    if (known === undefined || (known.text === known.url && link.text !== link.url && link.text !== "")) {
      byUrl.set(link.url, link);
    }
  }
  return [...byUrl.values()];
}
