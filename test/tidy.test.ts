/**
 * Style as a test: who may import whom, what only a few files may touch, how long files may be,
 * and what must not stand in the repository. Each ban names what to use instead.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const root = fileURLToPath(new URL("..", import.meta.url));
const linesMax = 400;

/** Every file that is, or is about to be, under version control. */
const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root })
  .toString()
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)));
const sources = files.filter((file) => /^src\/.*\.ts$/.test(file));
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** Without comments, roughly: a mention is no use. Strings stay (an address holds `//`). */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, "")).replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** What a file imports, statically, dynamically or by re-export. */
function importsOf(text: string): string[] {
  const pattern = /\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g;
  return [...code(text).matchAll(pattern)].map((match) => match[1] ?? "");
}

/** `src/actors/x.ts` is of house `actors`; a file right under `src/` is a house of its own. */
function houseOf(file: string): string {
  return /^src\/([^/]+?)(?:\.ts)?(?:\/|$)/.exec(file)?.[1] ?? "outside";
}

interface House {
  /** Files or folders of this repository, besides its own. */
  readonly may: readonly string[];
  /** The only packages (and `node:` modules) that it may use; absent: any. */
  readonly packages?: readonly string[];
}

const anything = ["src/"];
const houses: Readonly<Record<string, House>> = {
  machines: { may: [], packages: ["xstate", "zod", "@marcbachmann/cel-js"] },
  bus: { may: [] },
  actors: { may: ["src/machines/", "src/bus/", "src/json-schema.ts", "src/distribution.ts", "src/webhooks.ts"] },
  gateway: {
    may: [
      "src/machines/",
      "src/actors/client.ts",
      "src/actors/agent.ts",
      "src/json-schema.ts",
      "src/distribution.ts",
      "src/webhooks.ts",
    ],
  },
  "json-schema": { may: [] },
  distribution: { may: [] },
  webhooks: { may: [] },
  builtin: { may: ["src/machines/", "src/actors/agent.ts"] },
  // The client sees a node as everyone does: over HTTP. Time and chance come through the bus's ports.
  cli: { may: ["src/config.ts", "src/bus/clock.ts"] },
  config: { may: ["src/config-values.ts"] },
  "config-values": { may: [] },
  index: { may: anything },
  main: { may: anything },
  start: { may: anything },
  tools: { may: anything },
  "start-nats": { may: anything },
  "start-agents": { may: anything },
  "start-auth": { may: anything },
  "start-grpc": { may: anything },
};

/** Every import of a source that its house does not permit, as a sentence. */
function trespasses(file: string, text: string): string[] {
  const name = houseOf(file);
  const house = houses[name];
  if (!house) return [`${file}: no such house; name it, and whom it knows, in test/tidy.test.ts`];
  return importsOf(text).flatMap((specifier) => {
    if (!specifier.startsWith(".")) {
      const known = house.packages?.some((one) => specifier === one || specifier.startsWith(`${one}/`)) ?? true;
      return known ? [] : [`${file} imports ${specifier}; ${name} may use ${house.packages?.join(", ")} only`];
    }
    const target = relative(root, join(root, dirname(file), specifier));
    const own = houseOf(target) === name;
    if (own || house.may.some((one) => target.startsWith(one))) return [];
    return [`${file} imports ${target}; ${name} may know ${house.may.join(", ") || "nobody"}`];
  });
}

describe("houses", () => {
  test("nobody imports what it must not know", () => {
    expect(sources.flatMap((file) => trespasses(file, read(file)))).toEqual([]);
  });

  test.each([
    ["src/machines/a.ts", 'import { x } from "node:fs";', 1],
    ["src/machines/a.ts", 'import type { C } from "../bus/clock.ts";', 1],
    ["src/machines/b/a.ts", 'export * from "../errors.ts";\nimport { z } from "zod";', 0],
    ["src/bus/a.ts", 'const x = await import("../machines/errors.ts");', 1],
    ["src/gateway/a.ts", 'import { x } from "../actors/loop.ts";\nimport { y } from "../actors/client.ts";', 1],
    ["src/actors/a.ts", '// import { x } from "../gateway/y.ts";\nimport { b } from "../bus/bus.ts";', 0],
    ["src/newhouse/a.ts", "", 1],
  ])("the check itself: %s with %j", (file, text, count) => {
    expect(trespasses(file, text)).toHaveLength(count);
  });
});

interface Ban {
  readonly what: RegExp;
  readonly instead: string;
}

const bans: readonly Ban[] = [
  { what: /\bDate\.now\b|\bnew Date\(\)/, instead: "Clock.now()" },
  { what: /\bperformance\.now\b|\bprocess\.(?:hrtime|uptime)\b/, instead: "Clock.monotonic()" },
  { what: /\bset(?:Timeout|Interval|Immediate)\b|\btimers\/promises\b/, instead: "Clock.after or Clock.sleep" },
  { what: /\bAbortSignal\.timeout\b/, instead: "an AbortController and Clock.after" },
  { what: /\bMath\.random\b/, instead: "Random.float()" },
  { what: /\brandomUUID\b/, instead: "Random.id()" },
  { what: /\bprocess\.env\b/, instead: "a setting of src/config.ts" },
  { what: /^export default\b/m, instead: "a named export" },
  { what: /^\s*(?:export )?(?:const )?enum\b/m, instead: "a union of strings" },
];
/** The only files that touch real time, chance and environment (the stepped clock: the event loop alone). */
const realWorld = [
  "src/bus/system-clock.ts",
  "src/bus/nats/clock.ts",
  "src/bus/memory/clock.ts",
  "src/main.ts",
  "src/config.ts",
];

function banned(file: string, text: string): string[] {
  return bans
    .filter((ban) => ban.what.test(code(text)))
    .filter((ban) => !realWorld.includes(file) || /export|enum/.test(ban.what.source))
    .map((ban) => `${file}: ${ban.what.exec(code(text))?.[0].trim()}; use ${ban.instead}`);
}

describe("bans", () => {
  test("time, timers, chance and environment are injected; exports have names", () => {
    expect(sources.flatMap((file) => banned(file, read(file)))).toEqual([]);
  });

  test.each([
    ["const t = Date.now();", "Clock.now()"],
    ["return new Date().toISOString()", "Clock.now()"],
    ["setTimeout(f, 1)", "Clock.after"],
    ["const { HOME } = process.env;", "src/config.ts"],
    ["export default 1;", "named export"],
    ["enum A { b }", "union"],
    ["crypto.randomUUID()", "Random.id()"],
  ])("the check itself: %s", (text, instead) => {
    expect(banned("src/actors/a.ts", text)).toEqual([expect.stringContaining(instead)]);
    expect(banned("src/actors/a.ts", `// ${text}\n/* ${text} */ queueMicrotask(f); new Date(5);`)).toEqual([]);
  });
});

describe("files", () => {
  const count = (file: string): number => read(file).split("\n").length - 1;

  test(`none in src is longer than ${linesMax} lines: a longer one holds two nouns`, () => {
    expect(sources.filter((file) => count(file) > linesMax).map((file) => `${file}: ${count(file)}`)).toEqual([]);
  });

  test("each begins with a comment: what it owns, what it does not", () => {
    expect(sources.filter((file) => !/^\/\*\*/.test(read(file)))).toEqual([]);
  });

  test("no test is run alone by mistake", () => {
    const tests = files.filter((file) => file.endsWith(".test.ts"));
    expect(tests.filter((file) => /\b(?:test|it|describe)\.only\(/.test(code(read(file))))).toEqual([]);
  });
});

describe("the repository", () => {
  const texts = files.filter((file) =>
    /\.(?:[cm]?[jt]s|json|md|ya?ml|conf|svg|html|txt)$|^[^.]+$|^\.[\w.]+$/.test(file),
  );

  test("says nothing of the machine it was written on, nor of a registry's host", () => {
    const words = [
      ["/wo", "rk/"],
      ["/tmp/", "spec"],
      ["registry.", "npmjs"],
      ["registry.", "yarnpkg"],
      ["/ro", "ot/"],
    ].map((parts) => parts.join(""));
    const found = texts.flatMap((file) =>
      words.filter((word) => read(file).includes(word)).map((word) => [file, word]),
    );
    expect(found).toEqual([]);
  });

  test("the lock names every package that it mentions (npm ci refuses it otherwise), and no place to get it from", () => {
    const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, Record<string, unknown>> };
    const missing = Object.entries(lock.packages).flatMap(([path, one]) =>
      Object.keys({ ...(one.dependencies as object), ...(one.optionalDependencies as object) })
        .filter((name) => !resolves(lock.packages, path, name))
        .map((name) => `${path || "."} needs ${name}`),
    );
    expect(missing).toEqual([]);
    expect(Object.values(lock.packages).filter((one) => "resolved" in one)).toEqual([]);
  });

  test("containers: valid YAML, the credential demanded, and what the image copies is in its context", () => {
    const compose = parse(read("docker-compose.yml")) as { services: Record<string, Record<string, unknown>> };
    expect(Object.keys(compose.services)).toEqual(["nats", "troupe"]);
    expect(compose.services.nats).toHaveProperty("healthcheck");
    expect(compose.services.troupe?.environment).toMatchObject({
      TROUPE_API_KEYS: expect.stringMatching(/^\$\{TROUPE_API_KEYS:\?/),
      NATS_URL: "nats://nats:4222",
    });
    const copied = [...read("Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
      (m) => m[1]?.split(" ") ?? [],
    );
    const context = read(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"));
    expect(context.map((line) => line.slice(1)).sort()).toEqual([...new Set(copied)].sort());
    expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

/** Node's way: the package's own node_modules, then those of the folders above. */
function resolves(packages: Record<string, unknown>, from: string, name: string): boolean {
  for (let path = from; path !== ""; path = path.slice(0, Math.max(0, path.lastIndexOf("node_modules/") - 1))) {
    if (`${path}/node_modules/${name}` in packages) return true;
  }
  return `node_modules/${name}` in packages;
}
