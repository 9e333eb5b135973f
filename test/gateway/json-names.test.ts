/** A name that stands twice in an object is found, wherever it is; nothing else is taken for one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseJson } from "../../src/gateway/json.ts";
import { countMembers, repeatedName } from "../../src/gateway/json-names.ts";
import type { Json } from "../../src/machines/effects.ts";

const bytes = (text: string) => Buffer.from(text);

/** Members of a value, as built by hand. */
function members(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const inner = Object.values(value).reduce((sum: number, one) => sum + members(one), 0);
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length);
}

test("any JSON, however spaced and escaped, has as many members in its text as in its value", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom("", " ", "\t\t"), (value, space) => {
      const text = JSON.stringify(value, undefined, space);
      const read: Json = JSON.parse(text);
      expect(countMembers(bytes(text))).toBe(members(read));
      expect(repeatedName(bytes(text))).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['{"a":1,"a":2}', "a"],
  ['{"a":1 , "\\u0061" : 2}', "a"],
  ['[{"b":{"c":[],"d":{"c":1},"c":0}}]', "c"],
  ['{"":1,"":1}', ""],
  ['{"é\\"":1,"x":"}","é\\"":1}', 'é"'],
])("%s: '%s' stands twice", (text, name) => {
  expect(repeatedName(bytes(text))).toBe(name);
  expect(() => parseJson(bytes(text), 64)).toThrow(`the name '${name}' stands twice`);
});

test.each(['{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}', '["a","a",":",{"a":"a\\":"}]', '"\\\\"', "1", "{}"])(
  "%s is what it says",
  (text) => {
    expect(parseJson(bytes(text), 64)).toEqual(JSON.parse(text));
  },
);
