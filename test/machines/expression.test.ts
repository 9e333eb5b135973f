import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/machines/effects.ts";
import { checkExpression, evaluate } from "../../src/machines/expression.ts";
import { clip, isLarger } from "../../src/machines/json.ts";
import { eachTemplateString, renderTemplate, splitTemplate } from "../../src/machines/template.ts";

const ref = { $blob: { name: "r/b", bytes: 100_000, sha256: "x" } };
const scope: JsonObject = {
  input: { n: 5, s: "abc", list: [1, 2, 3], text: ref, constructor: { a: ref } },
  context: null,
  run: { id: "r1" },
  stages: { a: { status: "completed", output: ref }, b: { status: "failed", output: null } },
  item: 3,
  index: 1,
};
const value = (v: unknown) => ({ value: v });

describe("an expression over JSON", () => {
  it.each([
    ["input.n + 1", 6],
    ["1 - input.n", -4],
    ["index % 2", 1],
    ["input.n / 2", 2.5],
    ["input.list.map(x, x * 2)", [2, 4, 6]],
    ["size(input.list)", 3],
    ["input.?nope.orValue('d')", "d"],
    ["optional.none()", null],
    ["stages.b.status == 'failed' && stages.b.output == null", true],
    ["timestamp('2024-01-01T00:00:00Z')", "2024-01-01T00:00:00.000Z"],
    ["duration('90s')", "90s"],
    ["b'ab'", "YWI="],
    ["type(1)", "int"],
    ["7u", 7],
    ["{'a': [1, 'x', 2.5, null]}", { a: [1, "x", 2.5, null] }],
  ])("%s", (expression, expected) => {
    expect(evaluate(expression, scope)).toEqual(value(expected));
  });

  it.each([
    ["1 +", "Unexpected token: EOF at character 4"],
    ["input.nope", "No such key: nope at character 7: nope"],
    ["other", "Unknown variable: other at character 1: other"],
    ["stages", "write stages.<name>, at character 1"],
    ["stages[input.s]", "write stages.<name>, at character 1"],
    ["9007199254740993", "the integer 9007199254740993 is too large for JSON"],
    ["0.0 / 0.0", "the result NaN is not a JSON number"],
    ["'a'.matches(input.s)", "matches() needs a literal pattern, at character 1"],
    ["1 + ".repeat(2_000), "longer than 4096 characters"],
  ])("says in one line what is wrong with %s", (expression, error) => {
    expect(evaluate(expression, scope)).toEqual({ error });
  });

  it("refuses deep and long trees", () => {
    expect(checkExpression(`${"(".repeat(200)}1${")".repeat(200)}`).ok).toBe(false);
    expect(checkExpression(Array.from({ length: 1_100 }, () => "1").join("+")).ok).toBe(false);
  });

  it.each([
    "input.map(x, input.map(y, 1))",
    "input.exists(x, input.exists(y, y == -1))",
    "input.filter(x, x in input)",
    "cel.bind(z, input, z.map(a, z.all(b, a != -b)))",
    "optional.none().orValue(input.map(x, input.filter(y, false)))",
    "input.exists_one(x, input.all(y, true))",
    "input.map(x, x > 1, input.map(y, y))",
    "[input.map(x, input.map(y, y))]",
    "{'a': true ? input.map(x, input.map(y, y)) : []}",
  ])("ends %s when it costs too much", (expression) => {
    const input = Array.from({ length: 3_000 }, (_, i) => i);
    expect(evaluate(expression, { input })).toEqual({ error: "goes through more than 1000000 list items" });
    expect(evaluate(expression, { input: [1] })).not.toHaveProperty("error");
  });

  it("ends a result that grows without bound", () => {
    const input = Array.from({ length: 2_000 }, () => "x".repeat(20_000));
    expect(evaluate("input.map(x, x + x)", { input })).toEqual({
      error: "the result is larger than 33554432 characters",
    });
  });
});

describe("a value that is kept outside", () => {
  it.each([
    ["input.text", ref],
    ["stages.a.output", ref],
    ["[input.text, 1]", [ref, 1]],
    ["{'a': input.text}", { a: ref }],
    ["stages.a.status == 'failed' ? null : stages.a.output", ref],
    ["input.constructor.a", ref],
    ["optional.of(input.text)", ref],
    ["input.text == 'a'", false],
    ["input.text != null", true],
    ["false && input.text.a", false],
    ["input.text.a || true", true],
  ])("passes through %s", (expression, expected) => {
    expect(evaluate(expression, scope)).toEqual(value(expected));
  });

  it.each([
    "input.text.a",
    "input.text[0]",
    "size(input.text)",
    "has(input.text.x)",
    "input.text.?x",
    "input.text == input.n",
    "input.n != input.text",
    "[input.text] == [1]",
    "{'a': input.text} == {'a': 1}",
    "input.text in input.list",
    "1 in [input.text]",
    "'a' in input.text",
    "input.text.contains('a')",
    "input.text.map(x, x)",
    "input.text + 'a'",
    "string(input.text)",
    "type(input.text)",
    "!input.text",
    "input.text ? 1 : 2",
    "input.text && true",
    "input.list.exists(x, input.text.a == x)",
  ])("is needed for %s", (expression) => {
    expect(evaluate(expression, scope)).toEqual({ needsValues: true });
  });

  it("gives the same outcome as the loaded value, or asks for it", () => {
    const text = "lorem ".repeat(20_000);
    const expressions = [
      "input.t",
      "input.t == 'a'",
      "size(input.t) > 5",
      "[input.t]",
      "input.t == input.u",
      "'lo' in [input.t]",
    ];
    const loaded = { input: { t: text, u: text } };
    const outside = { input: { t: ref, u: { $blob: { ...ref.$blob, name: "r/c" } } } };
    for (const expression of expressions) {
      const result = evaluate(expression, outside);
      if ("needsValues" in result) continue;
      const same = JSON.parse(JSON.stringify(result).replaceAll(JSON.stringify(ref), JSON.stringify(text)));
      expect(same).toEqual(evaluate(expression, loaded));
    }
  });
});

describe("a template", () => {
  it.each([
    ["${input.n}", 5],
    ["n is ${input.n}.", "n is 5."],
    ["${input.list} and ${null}", "[1,2,3] and null"],
    ["$${input.n} ${input.n}", "${input.n} 5"],
    ['${ {"a": "}"}["a"] } x', "} x"],
    ["${'it\\'s}'}", "it's}"],
    ['${r"\\d}"}', "\\d}"],
    ['${"""a"}"""}', 'a"}'],
    ["${input.text}", ref],
    ["$ {input} $", "$ {input} $"],
  ])("%s", (template, expected) => {
    expect(renderTemplate(template, scope)).toEqual(value(expected));
  });

  it("renders inside of lists and maps, and keeps the rest", () => {
    const template = { a: ["${item}", 1, null], b: { c: "${index}", d: true } };
    expect(renderTemplate(template, scope)).toEqual(value({ a: [3, 1, null], b: { c: 1, d: true } }));
  });

  it("cannot put what is outside into a text", () => {
    expect(renderTemplate("x ${input.text}", scope)).toEqual({ needsValues: true });
    expect(renderTemplate("x ${[input.text]}", scope)).toEqual({ needsValues: true });
  });

  it("names the place of each text", () => {
    const places: string[] = [];
    eachTemplateString({ a: [{ "b c": "${x}" }], d: "plain", e: "${y}" }, (_, place) => places.push(place));
    expect(places).toEqual(['.a[0]["b c"]', ".e"]);
    expect(splitTemplate("a ${b")).toEqual({ error: "${ at character 3 is not closed" });
  });

  it("gives back any JSON without expressions", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        fc.pre(!JSON.stringify(json).includes("${") && !JSON.stringify(json).includes("$blob"));
        const clean = JSON.parse(JSON.stringify(json));
        expect(renderTemplate(clean, scope)).toEqual(value(clean));
      }),
    );
  });

  it("hands on any JSON unchanged", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        const clean = JSON.parse(JSON.stringify(json));
        fc.pre(!JSON.stringify(clean).includes("__proto__"));
        expect(evaluate("input", { input: clean })).toEqual(value(clean));
        expect(evaluate("[input]", { input: clean })).toEqual(value([clean]));
      }),
    );
  });
});

describe("JSON values", () => {
  it("are measured without more work than needed", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(200), (json, max) => {
        const clean = JSON.parse(JSON.stringify(json));
        const size = JSON.stringify(clean).length;
        // Escapes are not counted, separators a little too well: a fair measure, not an exact one.
        if (isLarger(clean, 6 * size + 16)) throw new Error("larger than it is");
        if (size > 2 && !isLarger(clean, 0)) throw new Error("smaller than it is");
        expect(isLarger("x".repeat(max + 1), max)).toBe(true);
      }),
    );
  });

  it("are clipped between characters, never within one", () => {
    expect([clip("abc", 3), clip("abcd", 3), clip("a😀b", 2), clip("a😀b", 3)]).toEqual(["abc", "abc", "a", "a😀"]);
  });
});
