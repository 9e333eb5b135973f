/**
 * An agent of one's own: counts the words of a text.
 *
 *   troupe start --agents ./examples/agents/word-count.ts
 *   troupe workflows register ./examples/workflows/word-count.json
 *   troupe run word-count --file README.md --follow
 */
import { defineAgent } from "troupe";
import { z } from "zod";

export const wordCount = defineAgent({
  type: "word-count",
  description: "Counts words, and finds the ones that come most often.",
  capabilities: ["text.count"],
  concurrency: 4,
  input: z.object({ text: z.string(), top: z.int().min(1).max(100).default(5) }),
  output: z.object({ words: z.int(), top: z.array(z.object({ word: z.string(), count: z.int() })) }),
  async run(ctx, { text, top }) {
    const counts = new Map<string, number>();
    const lines = text.split("\n");
    for (const [i, line] of lines.entries()) {
      // Stops at once when the run is cancelled or the node drains.
      ctx.signal.throwIfAborted();
      for (const word of line.toLowerCase().match(/[\p{L}\p{N}]{4,}/gu) ?? []) {
        counts.set(word, (counts.get(word) ?? 0) + 1);
      }
      if (i % 1_000 === 0) ctx.progress(i / lines.length, `line ${i} of ${lines.length}`);
    }
    const sorted = [...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
    const table = sorted.map(([word, count]) => `${word},${count}`).join("\n");
    await ctx.artifact({
      type: "file",
      name: "words.csv",
      mimeType: "text/csv",
      bytes: Buffer.from(`word,count\n${table}\n`),
    });
    ctx.log("counted", { distinct: sorted.length });
    return {
      words: [...counts.values()].reduce((sum, count) => sum + count, 0),
      top: sorted.slice(0, top).map(([word, count]) => ({ word, count })),
    };
  },
});
