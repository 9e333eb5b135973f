import stringWidth from "string-width";
import { describe, expect, test } from "vitest";
import { clean, clip, createPaint, duration, stopwatch, table, wrap } from "../../src/cli/format.ts";
import type { Run } from "../../src/cli/shapes.ts";
import { artifactLines, type Canvas, endLines, eventLine, runLines, shellWord } from "../../src/cli/view.ts";

const plain: Canvas = { columns: 80, rows: 24, paint: createPaint(false) };
const run: Run = {
  run_id: "r1",
  workflow: { name: "document-brief", version: "1.0.0" },
  status: "running",
  stages: [
    { name: "split", status: "completed" },
    { name: "analyse", status: "running", count: 40, done: 10, failed: 1 },
    { name: "merge", status: "pending" },
    { name: "optional", status: "skipped" },
  ],
};
const view = { run, elapsedMs: 65_400, frame: 0, away: false };

describe("the live view", () => {
  test("shows a mark per stage and the fan-out's progress", () => {
    expect(runLines(view, plain)).toEqual([
      "document-brief@1.0.0  running  1:05",
      "  ✔ split",
      "  ⠋ analyse   ━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 10/40 (1 failed)",
      "  · merge",
      "  – optional",
    ]);
  });

  test.each([20, 23, 31, 40, 79])("no line is wider than %i columns, in colour too", (columns) => {
    const wide: Run = { ...run, stages: [{ name: "名前が長い".repeat(9), status: "running", count: 4000, done: 7 }] };
    for (const paint of [createPaint(false), createPaint(true)]) {
      for (const one of [run, wide]) {
        const lines = runLines({ ...view, run: one }, { ...plain, columns, paint });
        for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(columns);
      }
    }
  });

  test("more stages than rows: those at work are shown, the others counted", () => {
    const stages = Array.from({ length: 100 }, (_, i) => ({ name: `s${i}`, status: i < 50 ? "completed" : "pending" }));
    const lines = runLines({ ...view, run: { ...run, stages } }, { ...plain, rows: 10 });
    expect(lines.length).toBeLessThan(10);
    expect(lines.join("\n")).toContain("s50");
    expect(lines).toContain("    … 49 before");
    expect(lines).toContain("    … 46 more");
  });

  test("a lost connection shows", () => {
    expect(runLines({ ...view, away: true }, plain)[0]).toContain("reconnecting…");
  });

  test("a stage that waits for a human says so", () => {
    const stages = [{ name: "approve", status: "waiting", count: 1 }];
    const checkpoints = [{ checkpoint_id: "c", status: "required" }];
    expect(runLines({ ...view, run: { ...run, stages, checkpoints } }, plain)[1]).toBe("  ? approve  waits for you");
  });

  test("what others wrote cannot command the terminal", () => {
    const evil = { name: "a\u001b[2Jb\rc", status: "running" };
    const text = runLines({ ...view, run: { ...run, stages: [evil] } }, plain).join("");
    expect(text).toContain("a[2Jbc");
    expect(clean("x\u202ey\u009b2J")).toBe("xy2J");
  });
});

describe("lines", () => {
  test("an event is one line, also when its payload is long or holds line breaks", () => {
    const payload = { attempt: 1, message: "one\ntwo".repeat(100), stage: "s" };
    const line = eventLine({ event_id: "e", type: "step.failed", step_id: "s.3", payload }, 1234, plain.paint);
    expect(line).toMatch(/^\+1\.2 s {5}step\.failed {8}s\.3 {2}attempt=1 message=one/);
    expect(line).not.toContain("\n");
    expect(line.length).toBeLessThan(200);
  });

  test("the end says what failed", () => {
    const error = { code: "timed_out", message: "The run took too long." };
    expect(endLines({ ...run, status: "failed", error, timing: { wall_ms: 500 } }, plain.paint)).toEqual([
      "✘ failed in 0.5 s",
      "  timed_out: The run took too long.",
    ]);
  });

  test("the end says how to get the artifacts, the output when there are none", () => {
    const artifacts = [{ artifact_id: "r1~a~publish~1", type: "file", name: "my report.md" }];
    const lines = endLines({ ...run, status: "succeeded", artifacts }, plain.paint);
    expect(lines[1]).toBe("  my report.md  file    troupe artifacts get r1~a~publish~1 -o 'my report.md'");
    expect(endLines({ ...run, status: "succeeded", output: { a: 1 } }, plain.paint).slice(1)).toEqual([
      "{",
      '  "a": 1',
      "}",
    ]);
  });

  test("shell words survive a shell", () => {
    expect(shellWord("a~b.c")).toBe("a~b.c");
    expect(shellWord("~a")).toBe("'~a'");
    expect(shellWord("it's")).toBe(`'it'\\''s'`);
    expect(artifactLines([{ artifact_id: "x;y" }])[0]).toContain("get 'x;y'");
  });

  test("durations, clocks, tables, clipping", () => {
    expect([0, 999, 59_949, 59_960, 3_600_000].map(duration)).toEqual(["0.0 s", "1.0 s", "59.9 s", "1m 00s", "1h 00m"]);
    expect([0, 61_000, 3_661_000].map(stopwatch)).toEqual(["0:00", "1:01", "1:01:01"]);
    expect(table(["A", "B"], [["漢字", "x"]], plain.paint)).toEqual(["A     B", "漢字  x"]);
    expect(wrap("aa bb  cc a-word-too-long d", 6)).toEqual(["aa bb", "cc", "a-word-too-long", "d"]);
    expect(wrap("", 6)).toEqual([""]);
    expect(clip("漢字漢字", 5)).toBe("漢字…");
    expect(clip(createPaint(true)("red", "abcdef"), 4)).toBe("\u001b[31mabc…\u001b[0m");
  });
});
