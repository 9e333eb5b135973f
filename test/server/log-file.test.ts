/** The server's log: bounded, while the writer goes on appending. */
import { closeSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLog, rotate, tail } from "../../src/bus/server/log-file.ts";
import { freshDirectory } from "./helpers.ts";

test("a large log is moved aside under an open writer, which goes on at the start", () => {
  const path = join(freshDirectory(), "nats.log");
  const file = openLog(path);
  writeSync(file, Buffer.alloc(17 * 2 ** 20, "x"));
  rotate(path);
  expect(statSync(`${path}.1`).size).toBe(17 * 2 ** 20);
  writeSync(file, "after\n");
  closeSync(file);
  expect(readFileSync(path, "utf8")).toBe("after\n");
  rotate(path);
  expect(readFileSync(path, "utf8")).toBe("after\n");
});

test("the tail holds the last lines since a position", () => {
  const path = join(freshDirectory(), "nats.log");
  writeFileSync(path, `before\n${"line\n".repeat(100)}last\n`);
  expect(tail(path, 0, 2)).toBe("line\nlast");
  expect(tail(path, 7 + 500)).toBe("last");
  expect(tail(path, 1e9)).toBe("");
});
