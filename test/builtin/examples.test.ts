import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { wordCount } from "../../examples/agents/word-count.ts";
import { workflowSchema } from "../../src/machines/workflow/schema.ts";
import { runAgent } from "./pipeline.ts";

it("the example's agent counts, and its workflow names it", async () => {
  const { output, kept } = await runAgent(wordCount, { text: "Tide after tide\nthe tide turns\n", top: 1 });
  expect(output).toEqual({ words: 5, top: [{ word: "tide", count: 3 }] });
  expect(kept.artifacts).toMatchObject([{ type: "file", name: "words.csv", mimeType: "text/csv" }]);
  const file = new URL("../../examples/workflows/word-count.json", import.meta.url);
  const workflow = workflowSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  expect(workflow.stages[0]).toMatchObject({ agent_type: wordCount.type });
});
