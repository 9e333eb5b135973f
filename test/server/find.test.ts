/** Which nats-server is taken, which is passed over, and what is said. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findServer, howToGet, isOlder } from "../../src/bus/server/find.ts";
import { fakeServer, freshDirectory } from "./helpers.ts";

function directoryWith(version: string): string {
  const directory = freshDirectory();
  fakeServer(directory, version);
  return directory;
}

describe("finding a nats-server", () => {
  test("one on PATH that is too old is passed over, with the reason", async () => {
    const old = directoryWith("nats-server: v2.9.10");
    const { found, skipped } = await findServer({ searchPath: old }, []);
    expect(found).toBeNull();
    expect(skipped).toEqual([`${old}/nats-server: version 2.9.10, needed is 2.10.0`]);
    expect(howToGet(skipped)).toContain("version 2.9.10");
  });

  test("the first new enough one on PATH comes before the packaged one", async () => {
    const [old, fresh, fresher] = ["v2.9.25", "v2.10.0", "v2.12.1"].map((v) => directoryWith(`nats-server: ${v}`));
    const { found } = await findServer({ searchPath: `${old}::/nowhere:${fresh}:${fresher}` }, ["/nowhere/packaged"]);
    expect(found).toEqual({ bin: `${fresh}/nats-server`, version: "2.10.0", source: "PATH" });
  });

  test("without one on PATH, the packaged one is taken", async () => {
    const { found } = await findServer({ searchPath: directoryWith("nats-server: v2.9.10") });
    expect(found?.source).toBe("package");
    expect(isOlder(found?.version ?? "0", "2.10.0")).toBe(false);
  });

  test("NATS_SERVER_BIN is taken before all others", async () => {
    const directory = directoryWith("nats-server: v2.11.0");
    const { found } = await findServer({ natsServerBin: `${directory}/nats-server`, searchPath: "" });
    expect(found).toEqual({ bin: `${directory}/nats-server`, version: "2.11.0", source: "NATS_SERVER_BIN" });
  });

  test("NATS_SERVER_BIN that cannot be used is an error, not passed over", async () => {
    const old = join(directoryWith("nats-server: v2.9.10"), "nats-server");
    await expect(findServer({ natsServerBin: old, searchPath: "" })).rejects.toThrow(/NATS_SERVER_BIN.*2\.9\.10/);
    await expect(findServer({ natsServerBin: "/nowhere/x", searchPath: "" })).rejects.toThrow(/NATS_SERVER_BIN.*run/);
  });

  test("what is no program, or says nothing, is passed over", async () => {
    const [mute, plain, folder] = [directoryWith("hello"), freshDirectory(), freshDirectory()];
    writeFileSync(join(plain, "nats-server"), "");
    mkdirSync(join(folder, "nats-server"));
    const { found, skipped } = await findServer({ searchPath: `${mute}:${plain}:${folder}` }, []);
    expect(found).toBeNull();
    expect(skipped).toEqual([`${mute}/nats-server: does not tell its version`]);
  });

  test("the advice names every way to get one", () => {
    for (const way of ["npm run fetch-server", "PATH", "NATS_SERVER_BIN", "NATS_URL"])
      expect(howToGet([])).toContain(way);
  });
});

test.each([
  ["2.9.25", "2.10.0", true],
  ["2.10.0", "2.10.0", false],
  ["2.10.0-RC.1", "2.10.0", false],
  ["2.14.0", "2.10.0", false],
  ["3.0.0", "2.10.0", false],
  ["1.99.99", "2.10.0", true],
])("isOlder(%s, %s) is %s", (version, than, older) => {
  expect(isOlder(version, than)).toBe(older);
});
