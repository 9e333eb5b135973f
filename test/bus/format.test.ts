import { expect, test } from "vitest";
import { FORMAT_VERSION, loadCodec, loadCodecWriting } from "../../src/bus/codec.ts";

test("all write what the oldest member reads, and change over when it has gone", async () => {
  const newer = FORMAT_VERSION + 1;
  const members = [{ format: newer }, { format: FORMAT_VERSION }];
  // A node of the next version beside one of this: its written format follows the members.
  const next = await loadCodecWriting(() => Math.min(newer, ...members.map((m) => m.format)), newer);
  const own = await loadCodec();
  const before = next.seal(1, { a: 1 });
  expect(own.open(before.bytes)).toMatchObject({ version: FORMAT_VERSION, value: { a: 1 } });
  expect(next.open(own.seal(1, { b: 2 }).bytes)).toMatchObject({ version: FORMAT_VERSION, value: { b: 2 } });
  members.pop();
  const after = next.seal(1, { a: 1 });
  expect(next.open(after.bytes)).toMatchObject({ version: newer, value: { a: 1 } });
  expect(() => own.open(after.bytes)).toThrow(expect.objectContaining({ code: "newer_format" }));
  expect(after.checksum).not.toBe(before.checksum);
});

test("a format that this Troupe does not write is refused", async () => {
  for (const version of [0, FORMAT_VERSION + 1, 1.5]) {
    const codec = await loadCodecWriting(() => version);
    expect(() => codec.seal(1, {})).toThrow(RangeError);
  }
});
