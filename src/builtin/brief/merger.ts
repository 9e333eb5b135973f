/**
 * Agent `brief-merger`: all sections' analyses in; the brief of the whole document and a draft
 * summary out.
 */
import { defineAgent } from "../../actors/agent.ts";
import { chooseSentences, type Ranked, scoreSentence } from "../text/rank.ts";
import { addCounts, noCounts, readingLevel, readingMinutes } from "../text/readability.ts";
import { foldPlurals, foldWords } from "../text/terms.ts";
import { wordsOf } from "../text/words.ts";
import { uniqueLinks } from "./analyst.ts";
import { type Analysis, type Brief, mergedSchema, mergeInputSchema } from "./schema.ts";

const keySentencesMax = 12;
const summarySentencesMax = 5;
const summaryCharsMax = 1_500;
const termsMax = 25;
const linksMax = 1_000;
const todosMax = 500;

interface Candidate extends Ranked {
  readonly section: number;
  readonly terms: readonly string[];
}

export const briefMerger = defineAgent({
  type: "brief-merger",
  description: "Merges the analyses of all sections into one brief.",
  capabilities: ["text.merge"],
  concurrency: 2,
  input: mergeInputSchema,
  output: mergedSchema,
  run(_ctx, { title, language, analyses }) {
    const ordered = [...analyses].sort((a, b) => a.index - b.index);
    const terms = mergeTerms(ordered, language);
    const candidates = candidatesOf(ordered, language, terms);
    const key = chooseSentences(candidates, (c) => c.terms, keySentencesMax);
    const summary = summarize(
      ordered,
      chooseSentences(candidates, (c) => c.terms, summarySentencesMax),
    );
    return { summary, brief: briefOf(title, language, ordered, terms, key) };
  },
});

function briefOf(
  title: string,
  language: string,
  analyses: readonly Analysis[],
  terms: Brief["terms"],
  key: readonly Candidate[],
): Brief {
  const counts = analyses.reduce((sum, analysis) => addCounts(sum, analysis.counts), noCounts);
  const unspaced = analyses.filter((a) => a.unspaced).length > analyses.length / 2;
  const links = uniqueLinks(analyses.flatMap((analysis) => analysis.links));
  const todos = mergeTodos(analyses);
  return {
    title,
    language,
    statistics: { ...counts, sections: analyses.length, readingMinutes: readingMinutes(counts) },
    readingLevel: readingLevel(counts, language, unspaced),
    method: analyses.some((analysis) => analysis.method === "model") ? "model" : "extractive",
    keySentences: key.map(({ text, section }) => ({ text, section })),
    terms: terms.slice(0, termsMax),
    sections: analyses.map((analysis) => ({
      title: analysis.title,
      level: analysis.level,
      words: analysis.counts.words,
      point: analysis.point ?? analysis.sentences[0]?.text ?? null,
    })),
    todos: todos.slice(0, todosMax),
    links: links.slice(0, linksMax),
    totals: { todos: todos.length, links: links.length },
  };
}

/** Terms of the whole: by how often they come, more for those that many sections share. */
function mergeTerms(analyses: readonly Analysis[], language: string): Brief["terms"] {
  const counts = new Map<string, number>();
  const spread = new Map<string, number>();
  for (const { terms } of analyses) {
    for (const { term, count } of terms) {
      counts.set(term, (counts.get(term) ?? 0) + count);
      spread.set(term, (spread.get(term) ?? 0) + 1);
    }
  }
  return [...foldPlurals(counts, language)]
    .map(([term, count]) => ({ term, count, sections: spread.get(term) ?? 1 }))
    .sort((a, b) => weightOf(b) - weightOf(a) || (a.term < b.term ? -1 : 1));
}

function weightOf({ count, sections }: { count: number; sections: number }): number {
  return count * (1 + Math.log(sections));
}

/** Every section's sentences, scored by the whole document's terms. */
function candidatesOf(analyses: readonly Analysis[], language: string, terms: Brief["terms"]): Candidate[] {
  const weights = new Map(terms.map((term) => [term.term, weightOf(term)]));
  const candidates: Candidate[] = [];
  analyses.forEach((analysis, i) => {
    const earliness = 1 - i / analyses.length;
    for (const sentence of analysis.sentences) {
      const words = wordsOf(sentence.text);
      const folded = foldWords(words, language).filter((word): word is string => word !== null);
      const score = scoreSentence(folded, words.length, weights, earliness) * (0.5 + sentence.score / 2);
      // Positions count within a section; a section has fewer sentences than this.
      const position = i * 100_000 + sentence.position;
      candidates.push({ text: sentence.text, position, score, section: analysis.index, terms: folded });
    }
  });
  return candidates;
}

/** Models' points for few sections; else the best sentences in the order of the text. */
function summarize(analyses: readonly Analysis[], best: readonly Candidate[]): string {
  const points = analyses.flatMap((analysis) => (analysis.point === undefined ? [] : [analysis.point]));
  const parts = points.length > 0 && points.length <= summarySentencesMax ? points : best.map((c) => c.text);
  let summary = "";
  for (const part of parts) {
    if (summary.length + part.length + 1 > summaryCharsMax) continue;
    summary += `${summary === "" ? "" : " "}${part}`;
  }
  if (summary !== "") return summary;
  const words = analyses.reduce((sum, analysis) => sum + analysis.counts.words, 0);
  return words === 0 ? "The document is empty." : "The document has no sentences that could be quoted.";
}

function mergeTodos(analyses: readonly Analysis[]): Brief["todos"] {
  const seen = new Set<string>();
  const todos: Brief["todos"] = [];
  for (const analysis of analyses) {
    for (const todo of analysis.todos) {
      const key = todo.text.toLowerCase();
      if (seen.has(key)) continue;
      seen.add(key);
      todos.push({ ...todo, section: analysis.index });
    }
  }
  return todos;
}
