import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { detectLanguage } from "../../src/builtin/text/language.ts";
import { readProse } from "../../src/builtin/text/markdown.ts";
import { readingLevel } from "../../src/builtin/text/readability.ts";
import { sectionCharsMax, sectionsMax, splitDocument } from "../../src/builtin/text/split.ts";
import { findTodos } from "../../src/builtin/text/todos.ts";
import { sentencesOf, wordsOf } from "../../src/builtin/text/words.ts";

const letters = (text: string) => text.replace(/[\s#]/g, "");

describe("splitting", () => {
  it("cuts at headings and keeps the text before the first", () => {
    const { title, sections } = splitDocument("Intro.\n\n# A\n\nOne.\n\n## B *b*\n\nTwo.\n");
    expect(title).toBe("A");
    expect(sections).toEqual([
      { index: 0, title: "", level: 0, text: "Intro." },
      { index: 1, title: "A", level: 1, text: "One." },
      { index: 2, title: "B b", level: 2, text: "Two." },
    ]);
  });

  it("takes no `#` inside of code for a heading, and underlined ones for what they are", () => {
    const { sections } = splitDocument("Title\n=====\n\n```sh\n# not a heading\n```\n\nNext\n----\n\nx\n");
    expect(sections.map((s) => [s.title, s.level])).toEqual([
      ["Title", 1],
      ["Next", 2],
    ]);
    expect(sections[0]?.text).toContain("# not a heading");
  });

  it("does not mind byte order marks, CRLF, front matter and empty headings", () => {
    const { title, sections } = splitDocument(
      "\uFEFF---\r\nlayout: x\r\n---\r\n# A\r\n\r\n## Empty\r\n\r\n## B\r\n\r\nText.\r\n",
    );
    expect(title).toBe("A");
    expect(sections).toEqual([{ index: 0, title: "B", level: 2, text: "Text." }]);
  });

  it.each(["", "   \n\n", "\uFEFF", "# Only a heading\n"])("gives one section for %j", (text) => {
    const { sections } = splitDocument(text);
    expect(sections).toHaveLength(1);
    expect(sections[0]?.index).toBe(0);
  });

  it("names a document by its first line when it has no heading", () => {
    expect(splitDocument("\n\nDear reader,\nhello.\n").title).toBe("Dear reader,");
    expect(splitDocument("").title).toBe("Untitled document");
  });

  it("cuts plain text by paragraphs, and one endless line too", () => {
    const paragraph = `${"Words in a row. ".repeat(100)}\n\n`;
    const many = splitDocument(paragraph.repeat(30)).sections;
    expect(many.length).toBeGreaterThan(5);
    expect(many[0]?.title).toBe("(1/".concat(`${many.length})`));
    const line = splitDocument("x".repeat(50_000)).sections;
    expect(Math.max(...line.map((s) => s.text.length))).toBeLessThanOrEqual(sectionCharsMax);
    expect(line.map((s) => s.text).join("")).toBe("x".repeat(50_000));
  });

  it("never cuts a character in two", () => {
    const { sections } = splitDocument("🎭".repeat(20_001));
    for (const { text } of sections) expect(() => encodeURIComponent(text)).not.toThrow();
  });

  it("keeps the number of sections bounded, whatever the number of headings", () => {
    const { sections } = splitDocument(Array.from({ length: 4_000 }, (_, i) => `## H${i}\n\nText ${i}.\n`).join("\n"));
    expect(sections.length).toBeLessThanOrEqual(sectionsMax);
    const all = sections.map((s) => `${s.title} ${s.text}`).join("\n");
    for (const i of [0, 1, 1_999, 3_999]) expect(all).toContain(`Text ${i}.`);
  });

  it("loses no prose and invents none, for any lines", () => {
    const line = fc.oneof(
      fc.constantFrom("# One", "## Two", "", "", "---", "===", "```", "- item", "> quote", "    code", "[a]: http://b"),
      fc.string({ maxLength: 80 }).map((s) => s.replace(/[\r\n\0\uFEFF]/g, " ")),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
        const text = lines.join("\n");
        const { sections } = splitDocument(text);
        const kept = letters(sections.map((s) => s.text).join(""));
        expect(kept.length).toBeLessThanOrEqual(letters(text).length);
        expect(sections.length).toBeGreaterThan(0);
        expect(sections.map((s) => s.index)).toEqual(sections.map((_, i) => i));
      }),
      { numRuns: 200 },
    );
  });
});

describe("languages", () => {
  it.each([
    ["eng", "This is a short sentence about the dog that lives in our house."],
    ["deu", "Das ist ein kurzer Satz über den Hund, der in unserem Haus wohnt."],
    ["fra", "C'est une phrase courte sur le chien qui vit dans notre maison."],
    ["rus", "Это короткое предложение о собаке, которая живёт в нашем доме."],
    ["jpn", "私は学生です。日本語を話します。"],
    ["cmn", "这是一个中文句子,用于测试语言检测。"],
    ["und", "1234 5678"],
  ])("%s", (code, text) => {
    expect(detectLanguage(text)).toBe(code);
  });

  it("words and sentences, in scripts with and without spaces", () => {
    expect(wordsOf("Don't stop: state-of-the-art, 3 × 4 naïve.")).toEqual([
      "Don't",
      "stop",
      "state-of-the-art",
      "3",
      "4",
      "naïve",
    ]);
    expect(wordsOf("日本語を話します。").length).toBeGreaterThan(2);
    expect(sentencesOf("See e.g. Dr. Smith. He left.  Did he? Yes!", "en")).toEqual([
      "See e.g. Dr. Smith.",
      "He left.",
      "Did he?",
      "Yes!",
    ]);
    expect(sentencesOf("私は学生です。日本語を話します。", "ja")).toHaveLength(2);
  });

  it("reading level: harder text has a higher grade; too little text and other scripts have none", () => {
    const counts = { characters: 400, words: 100, sentences: 10, syllables: 140 };
    const easy = readingLevel(counts, "eng", false);
    const hard = readingLevel({ ...counts, sentences: 3, syllables: 200 }, "eng", false);
    expect(easy?.formula).toBe("flesch-kincaid");
    expect(hard?.grade).toBeGreaterThan(easy?.grade ?? 99);
    expect(readingLevel({ ...counts, syllables: 0 }, "deu", false)?.formula).toBe("automated-readability");
    expect(readingLevel({ ...counts, words: 5 }, "eng", false)).toBeNull();
    expect(readingLevel(counts, "jpn", true)).toBeNull();
  });
});

describe("reading Markdown", () => {
  it("finds prose, links and tasks, and leaves code out", () => {
    const prose = readProse(
      "Go to [the *docs*](https://a.b/c) or <https://d.e>, https://f.g/h; not [here](#x) or ![i](i.png).\n\n- [ ] do `it`\n- [x] done\n\n```\nhttps://in.code\n```\n\n[ref][1]\n\n[1]: /local.md\n",
    );
    expect(prose.links).toEqual([
      { url: "https://a.b/c", text: "the docs" },
      { url: "https://d.e", text: "https://d.e" },
      { url: "https://f.g/h", text: "https://f.g/h" },
      { url: "/local.md", text: "ref" },
    ]);
    expect(prose.tasks).toEqual([
      { text: "do it", done: false },
      { text: "done", done: true },
    ]);
    expect(prose.paragraphs.map((p) => p.text).join(" ")).not.toContain("in.code");
  });

  it("passes on no script address", () => {
    expect(readProse("[x](javascript:alert(1)) <javascript:alert(2)>").links).toEqual([]);
  });

  it("to-dos: open tasks, marks, demands", () => {
    const todos = findTodos(
      "<!-- TODO(me): fix this -->\n- [ ] TODO once only\nmasTODOnt\n",
      [
        { text: "TODO once only", done: false },
        { text: "old", done: true },
      ],
      ["The crew must show papers.", "The sun shines.", "Mustard is yellow."],
      "eng",
    );
    expect(todos).toEqual([
      { text: "TODO once only", kind: "task" },
      { text: "fix this", kind: "mark" },
      { text: "The crew must show papers.", kind: "action" },
    ]);
  });
});
