/** The workflow `document-brief`: data, as anybody could register it. */
import type { WorkflowDefinition } from "../../machines/workflow/schema.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

export const documentBrief: WorkflowDefinition = {
  name: "document-brief",
  version: "1.0.0",
  description:
    "Reads a text or Markdown document section by section and publishes a brief, after a human has approved it.",
  tags: ["built-in", "document"],
  input_schema: {
    type: "object",
    required: ["text"],
    additionalProperties: false,
    properties: {
      title: { type: "string", maxLength: 512, description: "Default: the document's first heading." },
      text: { type: "string", description: "Plain text or Markdown, up to several MiB." },
      auto_approve: { type: "boolean", description: "True skips the human checkpoint." },
    },
  },
  output_schema: {
    type: "object",
    required: ["title", "summary", "report", "record"],
    properties: {
      title: { type: "string" },
      summary: { type: "string" },
      report: { $ref: "#/$defs/artifact" },
      record: { $ref: "#/$defs/artifact" },
    },
    $defs: {
      artifact: {
        type: "object",
        required: ["artifactId", "name"],
        properties: { artifactId: { type: "string" }, name: { type: "string" } },
      },
    },
  },
  default_timeout_ms: 8 * dayMs,
  stages: [
    {
      name: "split",
      description: "Cut the document into sections.",
      agent_type: "document-splitter",
      timeout_ms: 5 * minuteMs,
    },
    {
      name: "analyse",
      description: "Analyse each section, side by side.",
      agent_type: "section-analyst",
      dependencies: ["split"],
      for_each: "stages.split.output.sections",
      input: { section: "${item}", language: "${stages.split.output.language}" },
      timeout_ms: 10 * minuteMs,
    },
    {
      name: "merge",
      description: "Merge the analyses into one brief.",
      agent_type: "brief-merger",
      dependencies: ["split", "analyse"],
      input: {
        title: "${stages.split.output.title}",
        language: "${stages.split.output.language}",
        characters: "${stages.split.output.characters}",
        analyses: "${stages.analyse.output}",
      },
      timeout_ms: 5 * minuteMs,
    },
    {
      kind: "checkpoint",
      name: "review",
      description: "A human approves, rejects, or edits the summary.",
      dependencies: ["merge"],
      when: "!(has(input.auto_approve) && input.auto_approve)",
      title: "Approve the brief",
      instructions:
        "Read the draft summary. Approve it as it is, provide your own summary instead, or reject it with a note.\n\n${stages.merge.output.summary}",
      schema: {
        type: "object",
        required: ["summary"],
        additionalProperties: false,
        properties: {
          summary: { type: "string", minLength: 1, maxLength: 10_000, description: "Replaces the draft summary." },
        },
      },
      expires_in_ms: 7 * dayMs,
      on_expiry: "fail",
      on_reject: "fail",
    },
    {
      name: "publish",
      description: "Keep the report and the record.",
      agent_type: "brief-publisher",
      dependencies: ["merge", "review"],
      input: {
        summary: "${stages.merge.output.summary}",
        brief: "${stages.merge.output.brief}",
        review: "${stages.review.output}",
      },
      timeout_ms: 5 * minuteMs,
    },
  ],
  output: "${stages.publish.output}",
};
