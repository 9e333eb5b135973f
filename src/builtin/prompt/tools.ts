/**
 * Owns what the built-in prompt agent can really do: tools by name that count and quote a text. Pure; none
 * of them understands anything, and none makes anything up.
 */
import type { Json } from "../../machines/effects.ts";
import { analyseSection } from "../brief/analyst.ts";
import type { Analysis } from "../brief/schema.ts";
import { detectLanguage, languageName } from "../text/language.ts";
import { readingMinutes } from "../text/readability.ts";

/** A tool's finding: a line to read, and the same as data. */
export interface Finding {
  readonly line: string;
  readonly data: Json;
}

interface Subject {
  readonly text: string;
  readonly language: string;
  readonly analysis: Analysis;
}

interface Tool {
  /** The first is its own name. */
  readonly names: readonly string[];
  run(subject: Subject): Finding;
}

const termsShown = 10;

const tools: readonly Tool[] = [
  {
    names: ["text_statistics", "statistics", "word_count", "count"],
    run: ({ text, analysis }) => {
      const { words, sentences } = analysis.counts;
      const data = { characters: text.length, words, sentences, reading_minutes: readingMinutes(analysis.counts) };
      return { line: `${words} words, ${sentences} sentences, ${text.length} characters`, data };
    },
  },
  {
    names: ["summary", "summarize", "summarise", "summarization", "text_summary"],
    run: ({ analysis }) => {
      const quoted = [...analysis.sentences].sort((a, b) => a.position - b.position).map((s) => s.text);
      return { line: quoted.length === 0 ? "no sentence to quote" : quoted.join(" "), data: { sentences: quoted } };
    },
  },
  {
    names: ["keywords", "key_terms", "keyword_extraction", "terms"],
    run: ({ analysis }) => {
      const terms = analysis.terms.slice(0, termsShown).map(({ term, count }) => ({ term, count }));
      const line = terms.map(({ term, count }) => `${term} (${count})`).join(", ");
      return { line: line === "" ? "none" : line, data: terms };
    },
  },
  {
    names: ["readability", "reading_level"],
    run: ({ analysis: { readingLevel: level } }) => ({
      line: level === null ? "too little text to tell" : `${level.label}, grade ${level.grade} (${level.formula})`,
      data: level,
    }),
  },
  {
    names: ["language", "language_detection", "detect_language"],
    run: ({ language }) => ({ line: languageName(language), data: { code: language, name: languageName(language) } }),
  },
  {
    names: ["todos", "action_items"],
    run: ({ analysis: { todos } }) => ({
      line: todos.length === 0 ? "none" : todos.map((todo) => todo.text).join("; "),
      data: todos.map((todo) => todo.text),
    }),
  },
  {
    names: ["links"],
    run: ({ analysis: { links } }) => ({
      line: links.length === 0 ? "none" : links.map((link) => link.url).join(" "),
      data: links.map((link) => link.url),
    }),
  },
  { names: ["echo"], run: ({ text }) => ({ line: text, data: text }) },
];

export const toolNames: readonly string[] = tools.map((tool) => tool.names[0] as string);

const byName = new Map(tools.flatMap((tool) => tool.names.map((name) => [name, tool] as const)));

const folded = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, "_");

/** What the known ones of the tools asked for find in the text, and the names of those that are not known. */
export function runTools(
  asked: readonly string[],
  text: string,
): { readonly findings: ReadonlyMap<string, Finding>; readonly unknown: readonly string[] } {
  const findings = new Map<string, Finding>();
  const known = asked.filter((name) => byName.has(folded(name)));
  const unknown = [...new Set(asked.filter((name) => !byName.has(folded(name))))];
  if (known.length === 0) return { findings, unknown };
  const language = detectLanguage(text);
  const analysis = analyseSection({ index: 0, title: "", level: 0, text }, language);
  for (const name of known) {
    const tool = byName.get(folded(name)) as Tool;
    findings.set(tool.names[0] as string, tool.run({ text, language, analysis }));
  }
  return { findings, unknown };
}
