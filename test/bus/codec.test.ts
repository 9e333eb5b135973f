/** Codec and subject tokens: what goes in comes out, and what is damaged is refused whole. */
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodecError, FORMAT_VERSION, loadCodec, pack, unpack } from "../../src/bus/codec.ts";
import { makeId } from "../../src/bus/id.ts";
import { fromToken, toToken } from "../../src/bus/token.ts";

const codec = await loadCodec();

describe("codec", () => {
  it("gives back any JSON value, its kind and its checksum", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), fc.integer({ min: 0, max: 255 }), (value, kind) => {
        // JSON knows no -0; MessagePack writes it as an integer.
        const plain: unknown = JSON.parse(JSON.stringify(value));
        fc.pre(!JSON.stringify(value).includes('"__proto__":'));
        const { bytes, checksum } = codec.seal(kind, plain);
        const opened = codec.open(bytes);
        expect(opened).toEqual({ kind, version: FORMAT_VERSION, checksum, value: plain });
        expect(checksum).toMatch(/^[0-9a-f]{16}$/);
        expect(codec.checksumOf(bytes)).toBe(checksum);
        expect(unpack(pack(plain))).toEqual(plain);
      }),
    );
  });

  it("keeps bytes, large integers and nothing for undefined", () => {
    const value = { bytes: Uint8Array.of(1, 2, 3), time: 1_795_225_677_472, low: -(2 ** 53) + 1, gone: undefined };
    const { value: back } = codec.open(codec.seal(1, value).bytes);
    expect(back).toEqual({ bytes: Uint8Array.of(1, 2, 3), time: 1_795_225_677_472, low: -(2 ** 53) + 1 });
    expect(Object.keys(back as object)).not.toContain("gone");
  });

  it("opens a view into a larger buffer, as the network gives it", () => {
    const { bytes } = codec.seal(7, { a: "b" });
    const large = new Uint8Array(bytes.length + 20);
    large.set(bytes, 13);
    expect(codec.open(large.subarray(13, 13 + bytes.length)).value).toEqual({ a: "b" });
  });

  it("refuses every single flipped bit", () => {
    const { bytes } = codec.seal(3, { run: "abc", list: [1, 2.5, null, true, "ü"] });
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => codec.open(damaged), `bit ${bit}`).toThrow(CodecError);
    }
  });

  it("refuses what is cut, empty or foreign", () => {
    const { bytes } = codec.seal(3, { a: 1 });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => codec.open(bytes.subarray(0, length))).toThrow(expect.objectContaining({ code: "corrupt" }));
    }
    expect(() => codec.open(encode({ a: 1 }))).toThrow(expect.objectContaining({ code: "corrupt" }));
    expect(() => unpack(Uint8Array.of(0x93, 1))).toThrow(expect.objectContaining({ code: "corrupt" }));
    expect(() => unpack(Uint8Array.of(1, 1))).toThrow(expect.objectContaining({ code: "corrupt" }));
  });

  it("names a newer format instead of reading it", () => {
    const { bytes } = codec.seal(3, { a: 1 });
    bytes[2] = FORMAT_VERSION + 1;
    expect(() => codec.open(bytes)).toThrow(expect.objectContaining({ code: "newer_format" }));
    expect(() => codec.open(bytes)).toThrow(`version ${FORMAT_VERSION + 1}`);
  });

  it("the checksum tells version and kind apart too", () => {
    expect(codec.seal(1, { a: 1 }).checksum).not.toBe(codec.seal(2, { a: 1 }).checksum);
  });

  it("goes on after a value that it cannot hold", () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    expect(() => codec.seal(1, circular)).toThrow();
    expect(codec.open(codec.seal(1, [1, 2]).bytes).value).toEqual([1, 2]);
    expect(() => codec.seal(256, {})).toThrow(RangeError);
  });

  it("refuses the one key that could not be read back, before it is stored", () => {
    const value: unknown = JSON.parse('{"a":[{"__proto__":{"x":1}}]}');
    expect(() => codec.seal(1, value)).toThrow("__proto__");
    expect(() => pack(value)).toThrow("__proto__");
    expect(unpack(pack({ text: "about __proto__", list: ["__proto__"] }))).toEqual({
      text: "about __proto__",
      list: ["__proto__"],
    });
  });

  it("values sealed one after the other do not share bytes", () => {
    const first = codec.seal(1, { a: "first" });
    const second = codec.seal(1, { a: "other" });
    codec.seal(1, { large: "x".repeat(5_000_000) });
    expect(codec.open(first.bytes).value).toEqual({ a: "first" });
    expect(codec.open(second.bytes).value).toEqual({ a: "other" });
    expect(first.bytes.buffer.byteLength).toBe(first.bytes.length);
  });
});

describe("tokens", () => {
  it("come back as they were, are safe in subjects, and never meet", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
        for (const text of [a, b]) {
          expect(toToken(text)).toMatch(/^[A-Za-z0-9_~=-]+$/);
          expect(fromToken(toToken(text))).toBe(text);
        }
        expect(toToken(a) === toToken(b)).toBe(a === b);
      }),
    );
  });

  it("are known", () => {
    expect(toToken("run_1~a-B")).toBe("run_1~a-B");
    expect(toToken("a.b *>ü=")).toBe("a=2Eb=20=2A=3E=C3=BC=3D");
    expect(toToken("😀")).toBe("=F0=9F=98=80");
  });

  it("refuse the empty text and what toToken never makes", () => {
    expect(() => toToken("")).toThrow(RangeError);
    expect(() => toToken("\ud800")).toThrow(RangeError);
    for (const token of ["", "=", "=4", "=41", "=2e", "a.b", "=ZZ", "=FF", "a=", "ü"]) {
      expect(() => fromToken(token), token).toThrow(RangeError);
    }
  });
});

describe("ids", () => {
  it("sort by time and use their whole alphabet", () => {
    const random = Uint8Array.from({ length: 16 }, (_, i) => i * 17);
    const ids = [0, 1, 31, 32, 1_795_225_677_472, 1_795_225_677_473, 2 ** 48].map((t) => makeId(t, random));
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{26}$/);
  });
});
