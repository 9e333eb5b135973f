/** The real clock and randomness. */
import { expect, test } from "vitest";
import { createSystemClock, systemRandom } from "../../src/bus/system-clock.ts";

test("now follows the offset, monotonic does not", () => {
  const clock = createSystemClock();
  const before = clock.monotonic();
  clock.setOffset(3_600_000.4);
  expect(Math.abs(clock.now() - Date.now() - 3_600_000)).toBeLessThan(1_000);
  expect(Number.isInteger(clock.now())).toBe(true);
  expect(clock.monotonic() - before).toBeLessThan(1_000);
});

test("timers fire in order, not after cancel; a delay beyond what timers hold does not fire at once", async () => {
  const clock = createSystemClock();
  const fired: string[] = [];
  clock.after(Number.NaN, () => fired.push("nan"));
  clock.after(-5, () => fired.push("past"));
  clock.after(1, () => fired.push("cancelled")).cancel();
  const far = clock.after(1e12, () => fired.push("far"));
  await clock.sleep(20);
  expect(fired).toEqual(["nan", "past"]);
  far.cancel();
});

test("ids are 26 characters, unique, and sort by time; floats are in [0, 1)", () => {
  const ids = Array.from({ length: 1000 }, () => systemRandom.id());
  expect(ids.every((id) => /^[0-9a-z]{26}$/.test(id))).toBe(true);
  expect(new Set(ids).size).toBe(1000);
  const times = ids.map((id) => id.slice(0, 10));
  expect(times).toEqual([...times].sort());
  const floats = Array.from({ length: 1000 }, () => systemRandom.float());
  expect(Math.min(...floats)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...floats)).toBeLessThan(1);
  expect(Math.max(...floats) - Math.min(...floats)).toBeGreaterThan(0.5);
});
