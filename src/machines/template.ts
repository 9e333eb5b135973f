/**
 * Templates: JSON whose strings may hold `${ CEL }`. A string that is exactly one expression
 * gives its typed value, others interpolate; `$${` is a literal `${`. Owns the syntax, not the
 * scope.
 */
import type { Json, JsonObject } from "./effects.ts";
import { type Evaluation, evaluate } from "./expression.ts";
import { holdsRef, isBlobRef, isObject } from "./json.ts";

export type Segment = { readonly text: string } | { readonly expression: string; readonly start: number };

export type Segments = readonly Segment[] | { readonly error: string };

/** Splits a string at its expressions; a brace inside a CEL string or map does not end one. */
export function splitTemplate(source: string): Segments {
  const segments: Segment[] = [];
  let text = "";
  let i = 0;
  while (i < source.length) {
    if (source.startsWith("$${", i)) {
      text += "${";
      i += 3;
    } else if (source.startsWith("${", i)) {
      const end = closingBrace(source, i + 2);
      if (end < 0) return { error: `\${ at character ${i + 1} is not closed` };
      if (text !== "") segments.push({ text });
      text = "";
      segments.push({ expression: source.slice(i + 2, end).trim(), start: i + 2 });
      i = end + 1;
    } else {
      text += source[i];
      i += 1;
    }
  }
  if (text !== "" || segments.length === 0) segments.push({ text });
  return segments;
}

/** Index of the brace that closes an expression starting at `from`, or -1. */
function closingBrace(source: string, from: number): number {
  let depth = 0;
  for (let i = from; i < source.length; i++) {
    const c = source[i];
    if (c === '"' || c === "'") {
      i = endOfString(source, i);
      if (i < 0) return -1;
    } else if (c === "{") depth += 1;
    else if (c === "}") {
      if (depth === 0) return i;
      depth -= 1;
    }
  }
  return -1;
}

/** Index of the last quote of the CEL string that begins at `at` (plain or triple), or -1. As the library has it, `\\` also guards a quote in raw strings. */
function endOfString(source: string, at: number): number {
  const quote = source[at] ?? "";
  const mark = source.startsWith(quote.repeat(3), at) ? quote.repeat(3) : quote;
  for (let i = at + mark.length; i < source.length; i++) {
    if (source[i] === "\\") i += 1;
    else if (source.startsWith(mark, i)) return i + mark.length - 1;
  }
  return -1;
}

/** Calls `visit` for every string that holds an expression or is malformed, with its place (`.a[0]`). */
export function eachTemplateString(template: Json, visit: (source: string, place: string) => void, place = ""): void {
  if (typeof template === "string") {
    if (template.includes("${")) visit(template, place);
  } else if (Array.isArray(template)) {
    template.forEach((v, i) => {
      eachTemplateString(v, visit, `${place}[${i}]`);
    });
  } else if (isObject(template)) {
    for (const [key, v] of Object.entries(template)) {
      if (v !== undefined)
        eachTemplateString(v, visit, /^\w+$/.test(key) ? `${place}.${key}` : `${place}[${JSON.stringify(key)}]`);
    }
  }
}

/** The template's value over a scope. The first error or need for values ends it. */
export function renderTemplate(template: Json, scope: JsonObject): Evaluation {
  if (typeof template === "string") return renderString(template, scope);
  if (Array.isArray(template)) {
    const items: Json[] = [];
    for (const v of template) {
      const item = renderTemplate(v, scope);
      if (!("value" in item)) return item;
      items.push(item.value);
    }
    return { value: items };
  }
  if (!isObject(template) || isBlobRef(template)) return { value: template };
  const members: [string, Json][] = [];
  for (const [key, v] of Object.entries(template)) {
    if (v === undefined) continue;
    const member = renderTemplate(v, scope);
    if (!("value" in member)) return member;
    members.push([key, member.value]);
  }
  return { value: Object.fromEntries(members) };
}

function renderString(source: string, scope: JsonObject): Evaluation {
  if (!source.includes("${")) return { value: source };
  const segments = splitTemplate(source);
  if ("error" in segments) return segments;
  const [only] = segments;
  if (segments.length === 1 && only !== undefined && "expression" in only) return evaluate(only.expression, scope);
  let text = "";
  for (const segment of segments) {
    if ("text" in segment) {
      text += segment.text;
      continue;
    }
    const result = evaluate(segment.expression, scope);
    if (!("value" in result)) return result;
    // Text cannot hold a reference: interpolating one needs its value.
    if (holdsRef(result.value)) return { needsValues: true };
    text += typeof result.value === "string" ? result.value : JSON.stringify(result.value);
  }
  return { value: text };
}
