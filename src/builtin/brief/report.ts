/**
 * Owns how a brief looks as Markdown. Text from the document is escaped: it is quoted, never
 * rendered. No times and no ids, so that the same brief gives the same report.
 */
import { languageName } from "../text/language.ts";
import type { Brief } from "./schema.ts";

const sectionsShownMax = 100;
const todosShownMax = 100;
const linksShownMax = 200;

const todoKinds = { task: "open task", mark: "mark", action: "demand" } as const;

export function renderReport(brief: Brief, summary: string, edited: boolean): string {
  const parts = [
    `# ${escapeText(brief.title)}`,
    `## Summary${edited ? " (edited by the reviewer)" : ""}`,
    escapeText(summary),
    facts(brief),
    ...list(
      "Key points",
      brief.keySentences.map((sentence) => escapeText(sentence.text)),
    ),
    ...terms(brief),
    ...todos(brief),
    ...sections(brief),
    ...links(brief),
  ];
  return `${parts.join("\n\n")}\n`;
}

function facts(brief: Brief): string {
  const { statistics, readingLevel } = brief;
  const level =
    readingLevel === null
      ? "not measured"
      : `${readingLevel.label}, grade ${readingLevel.grade} (${readingLevel.formula})`;
  const rows = [
    ["Sections", count(statistics.sections)],
    ["Words", count(statistics.words)],
    ["Sentences", count(statistics.sentences)],
    ["Reading time", `about ${statistics.readingMinutes} min`],
    ["Reading level", level],
    ["Language", languageName(brief.language)],
    ["Analysis", brief.method === "model" ? "by a model" : "extractive, without a model"],
  ];
  return ["| | |", "|---|---|", ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");
}

function terms(brief: Brief): string[] {
  if (brief.terms.length === 0) return [];
  return ["## Terms", brief.terms.map(({ term, count: n }) => `${escapeText(term)} (${count(n)})`).join(" · ")];
}

function todos(brief: Brief): string[] {
  const items = brief.todos.slice(0, todosShownMax).map((todo) => {
    const where = sectionTitle(brief, todo.section);
    return `[ ] ${escapeText(todo.text)} *(${todoKinds[todo.kind]}${where === "" ? "" : `; ${escapeText(where)}`})*`;
  });
  return list("To do", items, brief.totals.todos);
}

function sections(brief: Brief): string[] {
  const rows = brief.sections.slice(0, sectionsShownMax).map((section, i) => {
    const title = section.title === "" ? `Section ${i + 1}` : section.title;
    return `| ${cell(title)} | ${count(section.words)} | ${cell(section.point ?? "")} |`;
  });
  const table = ["| Section | Words | Says |", "|---|---:|---|", ...rows].join("\n");
  return ["## Sections", table, ...more(brief.sections.length, rows.length)];
}

function links(brief: Brief): string[] {
  const items = brief.links.slice(0, linksShownMax).map(({ url, text }) => {
    const shown = text === "" || text === url ? "" : `${escapeText(text)}: `;
    return `${shown}<${url.replace(/[<>\s]/g, encodeURIComponent)}>`;
  });
  return list("Links", items, brief.totals.links);
}

function list(title: string, items: readonly string[], total: number = items.length): string[] {
  if (items.length === 0) return [];
  return [`## ${title}`, items.map((item) => `- ${item}`).join("\n"), ...more(total, items.length)];
}

function more(total: number, shown: number): string[] {
  return total > shown ? [`…and ${count(total - shown)} more in the record.`] : [];
}

function sectionTitle(brief: Brief, index: number): string {
  return brief.sections[index]?.title ?? "";
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function cell(text: string): string {
  return escapeText(text).replaceAll("|", "\\|");
}

/** One line; no character of it means anything to Markdown or HTML. */
function escapeText(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`*_[\]<>~]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replace(/^(?:[#+=-]|\d+(?=[.)]))/, "\\$&");
}
