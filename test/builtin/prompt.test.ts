/** The default agent: what the tools find, what is said when nobody can answer, what a model is asked. */
import { LLMock } from "@copilotkit/aimock";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createModelClient } from "../../src/builtin/model/client.ts";
import {
  answerWithTools,
  modelPromptAgent,
  type PromptOutput,
  promptOutputSchema,
  textCharsMax,
} from "../../src/builtin/prompt/agent.ts";
import { runTools, toolNames } from "../../src/builtin/prompt/tools.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { collectingContext } from "./pipeline.ts";

const text =
  "Bees keep their hive warm in winter. They dance to tell the others where flowers are. A hive has one queen. See https://example.org/bees for more about bees.";

describe("without a model", () => {
  test("the answer says plainly that nobody has answered, and names what is not known", () => {
    const output = answerWithTools({ prompt: "Create a function", tools: ["code_generation", "code_explanation"] });
    expect(output).toMatchObject({ answered_by: "nobody", model: null, findings: {} });
    expect(output.unknown_tools).toEqual(["code_generation", "code_explanation"]);
    expect(output.text).toContain("No model is configured here, so nobody has answered the prompt itself.");
    expect(output.text).toContain("Tools that are not known here: code_generation, code_explanation.");
    for (const name of toolNames) expect(output.text).toContain(name);
  });

  test("tools look at the context's text, else at the prompt", () => {
    const inContext = answerWithTools({ prompt: "Count this", context: { text }, tools: ["word-count"] });
    expect(inContext.findings).toEqual({
      text_statistics: { characters: text.length, words: 30, sentences: 4, reading_minutes: 1 },
    });
    expect(inContext.text).toContain("What the tools found in the context's text:\n- text_statistics: 30 words");
    const inPrompt = answerWithTools({ prompt: text, tools: ["Statistics"] });
    expect(inPrompt.findings).toEqual(inContext.findings);
    expect(inPrompt.text).toContain("found in the prompt");
    expect(inPrompt.answered_by).toBe("tools");
  });

  test.each([
    ["summary", /Bees keep|They dance/],
    ["keywords", /hive \(2\)/],
    ["readability", /easy, grade [\d.]+ \(flesch-kincaid\)/],
    ["language", /English/],
    ["links", /https:\/\/example\.org\/bees/],
    ["todos", /none/],
    ["echo", /^Bees keep/],
  ])("%s finds it in the text itself", (name, expected) => {
    expect(runTools([name], text).findings.get(name)?.line).toMatch(expected);
  });

  test("a summary quotes sentences that are there, word for word", () => {
    const found = runTools(["summarize"], text).findings.get("summary")?.data;
    const { sentences } = (found ?? {}) as { sentences: string[] };
    expect(sentences.length).toBeGreaterThan(0);
    for (const sentence of sentences) expect(text).toContain(sentence);
  });

  test("a very long text is cut, and that is said", () => {
    const output = answerWithTools({ prompt: "many words. ".repeat(textCharsMax / 10), tools: ["text_statistics"] });
    expect(output.findings).toMatchObject({ text_statistics: { characters: textCharsMax } });
    expect(output.text).toContain(`Only the first ${textCharsMax} characters`);
  });
});

describe("with a model", () => {
  let mock: LLMock;
  beforeEach(async () => {
    mock = new LLMock({ port: 0, host: "127.0.0.1" });
    await mock.start();
  });
  afterEach(() => mock.stop());

  test("the model answers; it is told the context, what was counted, and what else is wanted", async () => {
    mock.onMessage(/factorial/, { content: "def factorial(n): ..." });
    const settings = { baseUrl: `${mock.url}/v1`, apiKey: "k", model: "test-model" };
    const agent = modelPromptAgent(createModelClient(settings, systemClock));
    const context = collectingContext();
    const input = {
      prompt: "Create a Python function to calculate factorial",
      context: { language: "python" },
      tools: ["code_generation", "text_statistics"],
    };
    const output = (await agent.run(context, input)) as PromptOutput;
    expect(promptOutputSchema.parse(output)).toMatchObject({
      text: "def factorial(n): ...",
      answered_by: "model",
      unknown_tools: ["code_generation"],
    });
    expect(context.kept.events.map((event) => event.name)).toEqual(["model_requested", "model_responded"]);
    const { messages } = (mock.getLastRequest()?.body ?? {}) as { messages: { role: string; content: string }[] };
    const asked = messages.at(-1)?.content ?? "";
    for (const part of ["factorial", "language: python", "Asked for: code_generation", "text_statistics: 7 words"]) {
      expect(asked).toContain(part);
    }
  });
});
