import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { analyseSection } from "../../src/builtin/brief/analyst.ts";
import { briefPublisher } from "../../src/builtin/brief/publisher.ts";
import { builtInAgents, builtInWorkflows } from "../../src/builtin/index.ts";
import { evaluate } from "../../src/machines/expression.ts";
import { workflowSchema } from "../../src/machines/workflow/schema.ts";
import { brief, runAgent } from "./pipeline.ts";

const handbook = readFileSync(new URL("fixtures/handbook.txt", import.meta.url), "utf8");

describe("document-brief", () => {
  it("makes a report and a record of a real document", async () => {
    const { merged, output, report, file, record } = await brief({ text: handbook });
    expect(merged.brief.title).toBe("Harbour Handbook");
    expect(merged.brief.language).toBe("eng");
    expect(merged.brief.sections.map((s) => s.title)).toEqual(["Harbour Handbook", "Arrivals", "Departures", "Fees"]);
    expect(merged.brief.terms.slice(0, 6).map((t) => t.term)).toEqual(expect.arrayContaining(["harbour", "boat"]));
    expect(merged.brief.links).toEqual([
      { url: "https://example.org/tides", text: "tide tables" },
      { url: "./map.md", text: "port map" },
      { url: "https://example.org/fuel", text: "https://example.org/fuel" },
    ]);
    expect(merged.brief.todos.map((t) => [t.kind, t.text])).toEqual([
      ["task", "Print new berth cards"],
      ["task", "Ask the ferry company about the winter timetable"],
      ["action", "The crew must show the ship's papers within one hour."],
      ["mark", "compute the fuel bill from the meter"],
      ["mark", "the table lacks yachts"],
    ]);
    expect(merged.summary.length).toBeGreaterThan(100);
    const plain = handbook.replace(/[<>]/g, "");
    for (const { text } of merged.brief.keySentences) expect(plain).toContain(text);
    expect(file).toMatchObject({ type: "file", name: "harbour-handbook.md", mimeType: "text/markdown" });
    expect(record).toMatchObject({ type: "record", name: "harbour-handbook.json", data: { summary: merged.summary } });
    expect(output).toEqual({
      title: "Harbour Handbook",
      summary: merged.summary,
      report: { name: "harbour-handbook.md", artifactId: "r~a~s~1" },
      record: { name: "harbour-handbook.json", artifactId: "r~a~s~2" },
    });
    for (const part of ["# Harbour Handbook", "## Summary", "## Key points", "## To do", "## Links", "| Arrivals |"]) {
      expect(report).toContain(part);
    }
    expect(report).not.toContain("not prose");
  });

  it("is the same every time", async () => {
    expect((await brief({ text: handbook })).report).toBe((await brief({ text: handbook })).report);
  });

  it("takes the title that it is given, and the summary that the reviewer wrote", async () => {
    const review = { status: "input_provided", approved: true, note: null, input: { summary: "My *own* words." } };
    const { output, report } = await brief({ title: " Q3  Report ", text: handbook }, review);
    expect(output).toMatchObject({ title: "Q3 Report", summary: "My *own* words.", report: { name: "q3-report.md" } });
    expect(report).toContain("My \\*own\\* words.");
    expect(report).toContain("edited by the reviewer");
  });

  it("publishes nothing that was not approved", async () => {
    const { merged } = await brief({ text: "Text." });
    const review = { status: "rejected", approved: false, note: "no" };
    await expect(runAgent(briefPublisher, { ...merged, review })).rejects.toMatchObject({
      code: "rejected",
      retryable: false,
    });
  });

  it.each([
    ["nothing", ""],
    ["blanks", " \n\n "],
    ["one word", "word"],
    ["only code", "```\nlet x\n```\n"],
    ["only a heading", "# H"],
    ["only links", "<https://a.b>"],
    ["control characters", "a\0b\u0007c. Text here is odd, but it is text."],
    ["one long word", "x".repeat(20_000)],
    ["Japanese", "# 概要\n\n私は学生です。日本語を毎日勉強しています。東京の大学で学んでいます。\n"],
    ["Arabic", "هذا نص قصير باللغة العربية عن الميناء والقوارب. يجب على كل قارب أن يبلغ رئيس الميناء."],
    ["Thai", "ภาษาไทยเป็นภาษาที่ไม่มีช่องว่างระหว่างคำ และใช้สระหลายรูป"],
    ["nested quotes", `${">".repeat(500)} deep`],
    ["brackets", "[".repeat(20_000)],
    ["stars", "*a ".repeat(5_000)],
  ])("does its best with %s", async (_, text) => {
    const { report, merged } = await brief({ text });
    expect(report).toMatch(/^# /);
    expect(merged.summary).not.toBe("");
  });

  it("quotes sentences of languages without spaces", async () => {
    const { merged } = await brief({
      text: "私は学生です。日本語を毎日熱心に勉強しています。東京の大学で経済を学んでいます。",
    });
    expect(merged.brief.language).toBe("jpn");
    expect(merged.brief.readingLevel).toBeNull();
    expect(merged.brief.keySentences.length).toBeGreaterThan(0);
  });

  it("escapes what the document says", async () => {
    const text =
      "# <script>alert(1)</script> & *x*\n\nThe <b>bold</b> claim [is](https://a.b/?q=<x>) made | here and there today.\n";
    const { report } = await brief({ text });
    expect(report).not.toMatch(/(^|[^\\])<(script|b|x)/);
    expect(report).not.toContain("alert(1)</script>");
  });

  it("manages five MiB in bounded time and size", { timeout: 120_000 }, async () => {
    const text = handbook.repeat(Math.ceil((5 * 1024 * 1024) / handbook.length));
    const began = performance.now();
    const { split, merged } = await brief({ text });
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(split.sections.length).toBeLessThanOrEqual(500);
    expect(JSON.stringify(merged).length).toBeLessThan(1_000_000);
    expect(merged.summary.length).toBeLessThan(2_000);
    expect(merged.brief.totals).toEqual({ todos: 5, links: 3 });
  });

  it("an analysis is small, however odd the section", () => {
    const text = Array.from({ length: 2_000 }, (_, i) => `- [ ] task ${i} https://e.org/${i}`).join("\n");
    const analysis = analyseSection({ index: 0, title: "", level: 0, text }, "eng");
    expect(JSON.stringify(analysis).length).toBeLessThan(60_000);
  });
});

describe("the workflows", () => {
  it("fit the schema, and name agents that are there", () => {
    const types = new Set(builtInAgents().map((agent) => agent.type));
    for (const workflow of builtInWorkflows) {
      const parsed = workflowSchema.parse(workflow);
      for (const stage of parsed.stages) if (stage.kind !== "checkpoint") expect(types).toContain(stage.agent_type);
    }
    expect(builtInWorkflows.map((w) => `${w.name}@${w.version}`)).toEqual(["echo@0.1.0", "document-brief@1.0.0"]);
  });

  it("review is skipped with auto_approve only", () => {
    const review = builtInWorkflows[1]?.stages.find((stage) => stage.name === "review");
    const when = (input: Record<string, boolean>) => evaluate(review?.when ?? "", { input });
    expect(when({})).toEqual({ value: true });
    expect(when({ auto_approve: false })).toEqual({ value: true });
    expect(when({ auto_approve: true })).toEqual({ value: false });
  });
});
