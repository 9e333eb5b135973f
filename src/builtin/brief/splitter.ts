/** Agent `document-splitter`: a document in, its sections and language out. */
import { defineAgent } from "../../actors/agent.ts";
import { detectLanguage } from "../text/language.ts";
import { normalizeText, readProse } from "../text/markdown.ts";
import { splitDocument } from "../text/split.ts";
import { briefInputSchema, splitSchema } from "./schema.ts";

const sampleCharsMax = 30_000;

export const documentSplitter = defineAgent({
  type: "document-splitter",
  description: "Splits a text or Markdown document into sections.",
  capabilities: ["text.split"],
  concurrency: 2,
  input: briefInputSchema,
  output: splitSchema,
  run(ctx, { title, text }) {
    const document = splitDocument(text);
    ctx.log("split a document", { characters: text.length, sections: document.sections.length });
    const given = title?.replace(/\s+/g, " ").trim() ?? "";
    return {
      title: given === "" ? document.title : given,
      language: detectLanguage(languageSample(text)),
      characters: text.length,
      sections: document.sections.map((section) => ({ ...section })),
    };
  },
});

/** Prose without code: names in code are in no language. */
function languageSample(text: string): string {
  const { paragraphs } = readProse(normalizeText(text.slice(0, sampleCharsMax)));
  return paragraphs.map((paragraph) => paragraph.text).join("\n");
}
