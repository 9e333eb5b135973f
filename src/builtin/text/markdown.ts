/**
 * Owns reading Markdown: its blocks by lines, and a piece's prose, links and task items. Plain
 * text is Markdown without marks. Renders nothing.
 */
import MarkdownIt, { type Token } from "markdown-it";

export interface Link {
  readonly url: string;
  readonly text: string;
}

/** A top-level block: lines `from` to `to` (exclusive) of the source. */
export interface Block {
  readonly from: number;
  readonly to: number;
  /** Set for headings. */
  readonly heading?: { readonly level: number; readonly title: string };
}

export interface Prose {
  /** Paragraphs, list items, table cells and headings, each as plain text, in order. */
  readonly paragraphs: readonly { readonly text: string; readonly kind: "text" | "heading" | "item" | "cell" }[];
  readonly links: readonly Link[];
  readonly tasks: readonly { readonly text: string; readonly done: boolean }[];
}

const linkTextCharsMax = 200;
const urlCharsMax = 2_048;

const blockReader = new MarkdownIt({ html: true });
blockReader.core.ruler.disable(["inline", "linkify", "replacements", "smartquotes", "text_join"], true);

const reader = new MarkdownIt({ html: true, linkify: true });
reader.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

/** Unix line ends, no byte order mark, no NUL. */
export function normalizeText(text: string): string {
  return text
    .replace(/^\uFEFF/, "")
    .replace(/\r\n?/g, "\n")
    .replaceAll("\0", "");
}

/** The top-level blocks of a normalised text, in order; fast enough for several MiB at once. */
export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  const tokens = blockReader.parse(text, {});
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    if (token.level !== 0 || token.map === null || token.nesting < 0) continue;
    const [from, to] = token.map;
    if (token.type === "heading_open") {
      const title = plainTitle(tokens[i + 1]?.content ?? "");
      blocks.push({ from, to, heading: { level: Number(token.tag.slice(1)), title } });
    } else {
      blocks.push({ from, to });
    }
  }
  return blocks;
}

/** A heading's text without marks. */
function plainTitle(source: string): string {
  const [inline] = reader.parseInline(source.slice(0, 1_000), {});
  return inlineText(inline?.children ?? [], [])
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 200);
}

/** Prose, links and tasks of a piece of Markdown. Code blocks are no prose. */
export function readProse(source: string): Prose {
  const paragraphs: Prose["paragraphs"][number][] = [];
  const links: Link[] = [];
  const tasks: { text: string; done: boolean }[] = [];
  const open: string[] = [];
  for (const token of reader.parse(source, {})) {
    if (token.nesting === 1) open.push(token.type);
    else if (token.nesting === -1) open.pop();
    if (token.type !== "inline") continue;
    const text = inlineText(token.children ?? [], links)
      .replace(/[ \t]+/g, " ")
      .trim();
    const inItem = open.includes("list_item_open");
    const task = inItem ? /^\[([ xX])\]\s+(.+)/s.exec(text) : null;
    const plain = task?.[2] ?? text;
    if (task !== null) tasks.push({ text: plain, done: task[1] !== " " });
    if (plain !== "") paragraphs.push({ text: plain, kind: kindOf(open, inItem) });
  }
  return { paragraphs, links, tasks };
}

function kindOf(open: readonly string[], inItem: boolean): Prose["paragraphs"][number]["kind"] {
  const parent = open.at(-1);
  if (parent === "heading_open") return "heading";
  if (parent === "td_open" || parent === "th_open") return "cell";
  return inItem ? "item" : "text";
}

/** The visible text; links found go to `links` (in-page anchors and images do not). */
function inlineText(children: readonly Token[], links: Link[]): string {
  let text = "";
  let link: { url: string; from: number } | undefined;
  for (const child of children) {
    if (child.type === "text" || child.type === "code_inline") text += child.content;
    else if (child.type === "softbreak" || child.type === "hardbreak") text += " ";
    else if (child.type === "link_open") link = { url: String(child.attrGet("href") ?? ""), from: text.length };
    else if (child.type === "link_close" && link !== undefined) {
      const { url, from } = link;
      const shown = text.slice(from).replace(/\s+/g, " ").trim().slice(0, linkTextCharsMax);
      if (url !== "" && !url.startsWith("#") && url.length <= urlCharsMax) links.push({ url, text: shown });
      link = undefined;
    }
  }
  return text;
}
