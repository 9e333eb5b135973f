/** Agent `brief-publisher`: the approved brief in; a Markdown report and a JSON record kept as artifacts. */
import slugify from "@sindresorhus/slugify";
import { defineAgent, TaskError } from "../../actors/agent.ts";
import type { Json } from "../../machines/effects.ts";
import { renderReport } from "./report.ts";
import { publishedSchema, publishInputSchema } from "./schema.ts";

const slugCharsMax = 80;

export const briefPublisher = defineAgent({
  type: "brief-publisher",
  description: "Publishes a brief as a Markdown report and a JSON record.",
  capabilities: ["text.publish"],
  concurrency: 2,
  input: publishInputSchema,
  output: publishedSchema,
  async run(ctx, { brief, summary: draft, review }) {
    if (review !== null && !review.approved) {
      throw new TaskError("the brief was not approved", { code: "rejected", retryable: false });
    }
    const edited = editedSummary(review?.input);
    const summary = edited ?? draft;
    const slug = slugOf(brief.title);
    const markdown = renderReport(brief, summary, edited !== undefined);
    const report = { name: `${slug}.md` };
    const record = { name: `${slug}.json` };
    const kept = await Promise.all([
      ctx.artifact({ ...report, type: "file", mimeType: "text/markdown", bytes: Buffer.from(markdown) }),
      ctx.artifact({ ...record, type: "record", data: { ...brief, summary } as unknown as Json }),
    ]);
    return {
      title: brief.title,
      summary,
      report: { ...report, artifactId: kept[0].artifactId },
      record: { ...record, artifactId: kept[1].artifactId },
    };
  },
});

/** What the reviewer wrote instead of the draft, when they did. */
function editedSummary(input: unknown): string | undefined {
  const summary = (input as { summary?: unknown } | null | undefined)?.summary;
  return typeof summary === "string" && summary.trim() !== "" ? summary.trim() : undefined;
}

function slugOf(title: string): string {
  const slug = slugify(title).slice(0, slugCharsMax).replace(/-+$/, "");
  return slug === "" ? "document-brief" : slug;
}
