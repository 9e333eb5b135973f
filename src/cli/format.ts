/**
 * Text for people: colours, widths, tables, durations. Pure functions. Not owned: what the lines
 * say (view.ts and the commands).
 */
import stringWidth from "string-width";

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;
export type Style = keyof typeof codes;

/** Wraps text in a colour, or leaves it. */
export type Paint = (style: Style, text: string) => string;

export function createPaint(enabled: boolean): Paint {
  if (!enabled) return (_style, text) => text;
  return (style, text) => {
    const close = style === "bold" || style === "dim" ? 22 : 39;
    return `\u001b[${codes[style]}m${text}\u001b[${close}m`;
  };
}

/** What others wrote may carry terminal commands: control and format characters go, tabs become spaces. */
export function clean(text: string): string {
  return text.replace(/\t/g, "  ").replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "");
}

/** As `clean`, line by line. */
export function cleanLines(text: string): string[] {
  return text.split(/\r\n|\r|\n/).map(clean);
}

const segmenter = new Intl.Segmenter();
const escapeLength = (text: string, at: number): number => {
  if (text[at] !== "\u001b" || text[at + 1] !== "[") return 0;
  const end = text.indexOf("m", at);
  return end < 0 ? 0 : end + 1 - at;
};

/** Cuts text, which may hold colours, to so many terminal columns; an ellipsis marks the cut. */
export function clip(text: string, columns: number): string {
  if (stringWidth(text) <= columns) return text;
  let out = "";
  let used = 0;
  let at = 0;
  let coloured = false;
  while (at < text.length) {
    const escaped = escapeLength(text, at);
    if (escaped > 0) {
      out += text.slice(at, at + escaped);
      coloured = true;
      at += escaped;
      continue;
    }
    const nextEscape = text.indexOf("\u001b[", at + 1);
    const plain = text.slice(at, nextEscape < 0 ? text.length : nextEscape);
    for (const { segment } of segmenter.segment(plain)) {
      const width = stringWidth(segment);
      if (used + width > columns - 1) return `${out}…${coloured ? "\u001b[0m" : ""}`;
      out += segment;
      used += width;
    }
    at += plain.length;
  }
  return out;
}

/** Breaks a plain line between words, so that each part takes at most so many columns where words allow. */
export function wrap(line: string, columns: number): string[] {
  const out: string[] = [];
  let current = "";
  for (const word of line.split(/(?<= )(?=[^ ])/)) {
    if (current !== "" && stringWidth((current + word).trimEnd()) > columns) {
      out.push(current.trimEnd());
      current = "";
    }
    current += word;
  }
  return [...out, current.trimEnd()];
}

/** Pads to so many terminal columns. */
export function pad(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - stringWidth(text)));
}

/** Columns aligned, two spaces between, the last one ragged. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string[] {
  const cells = [header, ...rows].map((row) => row.map(clean));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => stringWidth(row[column] ?? ""))));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column === header.length - 1 ? cell : pad(cell, widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line, index) => (index === 0 ? paint("bold", line) : line));
}

/** `0.4 s`, `12.3 s`, `3m 04s`, `2h 03m`. */
export function duration(ms: number): string {
  const tenths = Math.max(0, Math.round(ms / 100));
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(tenths / 10);
  const minutes = Math.floor(seconds / 60);
  const two = (n: number): string => String(n).padStart(2, "0");
  if (minutes < 60) return `${minutes}m ${two(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
}

/** `0:07`, `12:05`, `1:02:03`: a running clock that does not jitter. */
export function stopwatch(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  const head = seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}` : null;
  return `${head ?? Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const kib = count / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

/** RFC 3339 to `2026-11-21 01:35:45` (UTC); other text as it is; nothing as a dash. */
export function instant(time: string | null | undefined): string {
  if (time === null || time === undefined || time === "") return "-";
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? clean(time) : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** JSON on one line, cut to so many characters. */
export function brief(value: unknown, charsMax = 120): string {
  const text = clean(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`;
}
