/**
 * Owns cutting a document into sections: by headings, large ones at block boundaries, and never
 * more than a bounded number. Pure; the same text gives the same sections.
 */
import { type Block, blocksOf, normalizeText } from "./markdown.ts";
import { cutBefore } from "./words.ts";

export const sectionsMax = 500;
/** A section's size, unless the document is so long that there would be too many. */
export const sectionCharsMax = 8_000;
const titleCharsMax = 120;

export interface Section {
  readonly index: number;
  readonly title: string;
  /** Level of the heading, 1–6; 0 where there is none. */
  readonly level: number;
  readonly text: string;
}

export interface Document {
  /** The first heading, else the first line. */
  readonly title: string;
  readonly sections: readonly Section[];
}

interface Part {
  title: string;
  level: number;
  text: string;
}

/** At least one section, even for an empty document. */
export function splitDocument(source: string): Document {
  const text = withoutFrontMatter(normalizeText(source));
  const blocks = blocksOf(text);
  const charsMax = Math.max(sectionCharsMax, Math.ceil(text.length / (sectionsMax * 0.8)));
  const parts = partsOf(text, blocks, charsMax);
  const sections = mergeSmall(parts, charsMax).map((part, index) => ({ index, ...part }));
  const title = blocks.find((block) => block.heading !== undefined && block.heading.title !== "")?.heading?.title;
  return { title: clip(title ?? firstLine(text) ?? "Untitled document"), sections };
}

/** YAML between `---` lines at the very start belongs to tools, not to readers. */
function withoutFrontMatter(text: string): string {
  if (!text.startsWith("---\n")) return text;
  const end = text.indexOf("\n---\n", 3);
  return end > 0 && end < 10_000 && /^[\w-]+\s*:/m.test(text.slice(4, end)) ? text.slice(end + 5) : text;
}

function firstLine(text: string): string | undefined {
  return text
    .slice(0, 5_000)
    .split("\n")
    .map((line) => line.trim())
    .find((line) => line !== "");
}

/** One part for each heading with a body; what stands before the first has no title. */
function partsOf(text: string, blocks: readonly Block[], charsMax: number): Part[] {
  const starts = lineStarts(text);
  const at = (line: number) => starts[line] ?? text.length;
  const parts: Part[] = [];
  let title = "";
  let level = 0;
  let pieces: string[] = [];
  const close = () => {
    const packed = pack(pieces, charsMax);
    packed.forEach((body, i) => {
      const name = packed.length === 1 ? title : `${title} (${i + 1}/${packed.length})`.trim();
      parts.push({ title: clip(name), level, text: body });
    });
    pieces = [];
  };
  blocks.forEach((block, i) => {
    // A block reaches to the next one: nothing between (link definitions, blank lines) is lost.
    const piece = text.slice(at(block.from), at(blocks[i + 1]?.from ?? starts.length));
    if (block.heading === undefined) {
      pieces.push(piece);
      return;
    }
    close();
    ({ title, level } = block.heading);
    // The title is kept apart; link definitions after it are part of the body.
    const rest = text.slice(at(block.to), at(block.from) + piece.length);
    if (rest.trim() !== "") pieces.push(rest);
  });
  close();
  if (parts.length > 0) return parts;
  return [{ title: clip(title), level, text: text.slice(0, charsMax).trim() }];
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Pieces joined to texts of at most `charsMax`; a longer piece is cut at a line, sentence or blank. */
function pack(pieces: readonly string[], charsMax: number): string[] {
  const texts: string[] = [];
  let open = "";
  const flush = () => {
    if (open.trim() !== "") texts.push(open.replace(/^\n+|\s+$/g, ""));
    open = "";
  };
  for (const piece of pieces) {
    if (open.length + piece.length > charsMax) flush();
    let from = 0;
    while (piece.length - from > charsMax) {
      const to = cutBefore(piece, from, from + charsMax);
      texts.push(piece.slice(from, to));
      from = to;
    }
    open += piece.slice(from);
  }
  flush();
  return texts;
}

/** Joins neighbours until there are few enough; headings of joined parts stay visible in the text. */
function mergeSmall(parts: readonly Part[], charsMax: number): readonly Part[] {
  let merged = parts;
  for (let limit = charsMax; merged.length > sectionsMax; limit *= 1.25) {
    const next: Part[] = [];
    for (const part of parts) {
      const last = next.at(-1);
      if (last === undefined || last.text.length + part.text.length > limit) {
        next.push({ ...part });
      } else {
        const heading = part.title === "" ? "" : `${"#".repeat(Math.max(1, part.level))} ${part.title}\n\n`;
        last.text += `\n\n${heading}${part.text}`;
      }
    }
    merged = next;
  }
  return merged;
}

function clip(title: string): string {
  return title.length <= titleCharsMax ? title : `${title.slice(0, titleCharsMax - 1).trimEnd()}…`;
}
