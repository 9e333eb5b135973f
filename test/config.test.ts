/** Settings: precedence, units, what is refused and how it is said, and the texts made from the table. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import type { ServerOptions } from "../src/bus/server/options.ts";
import {
  addFlags,
  ConfigError,
  clientEnvironment,
  environmentHelp,
  type Flags,
  flagsFrom,
  loadConfig,
  readEnvironment,
  settings,
  settingsTable,
} from "../src/config.ts";

/** The problems that loading reports. */
function problems(env: Record<string, string>, flags: Flags = {}): readonly string[] {
  try {
    loadConfig(flags, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("values", () => {
  test("defaults serve this machine only, and sync every commit", () => {
    const config = loadConfig({}, {});
    expect(config).toMatchObject({ host: "127.0.0.1", port: 8000, dataDir: "./.troupe", sync: "always", natsUrls: [] });
    expect(config).toMatchObject({ bodyBytesMax: 32 * 2 ** 20, partitions: 8, streams: 4, replicas: 1, leaseMs: 2000 });
    expect(config.apiKeys).toBeUndefined();
    // The compiler checks that the server's options are a part of the settings.
    expect((config satisfies ServerOptions).searchPath).toBe("");
  });

  test("a flag wins over the environment, the environment over the default, and empty is not set", () => {
    expect(loadConfig({ port: "1" }, { PORT: "2" }).port).toBe(1);
    expect(loadConfig({}, { PORT: "2" }).port).toBe(2);
    expect(loadConfig({}, { PORT: "", NATS_SERVER_BIN: "" })).toMatchObject({ port: 8000 });
  });

  test.each([
    ["TROUPE_RATE_LIMIT", "none", "rateLimit", null],
    ["TROUPE_RATE_LIMIT", "60", "rateLimit", 60],
    ["TROUPE_JWT_SCOPES", "runs:read, events:*", "jwtScopes", ["runs:read", "events:*"]],
    ["TROUPE_BODY_BYTES_MAX", "2MiB", "bodyBytesMax", 2 ** 21],
    ["TROUPE_RATE_LIMIT", "none", "rateLimit", null],
    ["TROUPE_RATE_LIMIT", "60", "rateLimit", 60],
    ["TROUPE_JWT_SCOPES", "runs:read, events:*", "jwtScopes", ["runs:read", "events:*"]],
    ["TROUPE_BODY_BYTES_MAX", "2mb", "bodyBytesMax", 2_000_000],
    ["TROUPE_RATE_LIMIT", "none", "rateLimit", null],
    ["TROUPE_RATE_LIMIT", "60", "rateLimit", 60],
    ["TROUPE_JWT_SCOPES", "runs:read, events:*", "jwtScopes", ["runs:read", "events:*"]],
    ["TROUPE_BODY_BYTES_MAX", "4096", "bodyBytesMax", 4096],
    ["TROUPE_LEASE_MS", "1.5s", "leaseMs", 1500],
    ["TROUPE_LEASE_MS", "750", "leaseMs", 750],
    ["TROUPE_SYNC", "2s", "sync", 2000],
    ["TROUPE_SYNC", "ALWAYS", "sync", "always"],
    ["NATS_URL", "a:4222, tls://b:4223,", "natsUrls", ["nats://a:4222", "tls://b:4223"]],
    ["TROUPE_AGENTS", "./a.ts,b.ts", "agents", ["./a.ts", "b.ts"]],
    ["MODEL_BASE_URL", "http://h/v1/", "modelBaseUrl", "http://h/v1"],
    ["PORT", "0", "port", 0],
    ["GRPC_PORT", "0", "grpcPort", 0],
    ["GRPC_PORT", "off", "grpcPort", null],
    ["GRPC_PORT", "50051", "grpcPortChosen", true],
    ["GRPC_PORT", "", "grpcPortChosen", false],
  ])("%s=%s", (name, text, key, value) => {
    expect(loadConfig({}, { [name]: text, MODEL_NAME: "m" })).toHaveProperty(key, value);
  });
});

describe("refusals", () => {
  test("every bad setting is named at once, with what it should be", () => {
    const found = problems({ PORT: "80x", TROUPE_SYNC: "never", LOG_LEVEL: "loud" }, { leaseMs: "2 parsec" });
    expect(found).toHaveLength(4);
    expect(found.join("\n")).toMatch(/^PORT: must be a whole number from 0 to 65535, not "80x"$/m);
    expect(found.join("\n")).toMatch(/^--lease \(TROUPE_LEASE_MS\): .*not "2 parsec"$/m);
    expect(found.join("\n")).toMatch(/^TROUPE_SYNC: must be "always" or an interval/m);
    expect(found.join("\n")).toMatch(/^LOG_LEVEL: must be one of trace/m);
    expect(new ConfigError(found).exitCode).toBe(2);
  });

  test.each([
    [{ TROUPE_REPLICAS: "3" }, "NATS_URL"],
    [{ TROUPE_REPLICAS: "2" }, "must be 1 or 3"],
    [{ TROUPE_PARTITIONS: "2" }, "TROUPE_STREAMS"],
    [{ MODEL_BASE_URL: "http://h/v1" }, "MODEL_NAME"],
    [{ NATS_URL: "h", NATS_USER: "u" }, "NATS_PASSWORD"],
    [{ NATS_TLS_CERT: "c" }, "NATS_TLS_KEY"],
    [{ NATS_TOKEN: "t", NATS_CREDS: "c" }, "only one"],
    [{ TROUPE_PUBLIC_URL: "ftp://x" }, "TROUPE_PUBLIC_URL: must be an address"],
    [{ TROUPE_CERT_HEADER: "client-cert" }, "TROUPE_TRUSTED_PROXIES"],
    [{ TROUPE_CERT_HEADER: "a b", TROUPE_TRUSTED_PROXIES: "10.0.0.1" }, "a header's name"],
    [{ TROUPE_JWT_SCOPES: "everything" }, "runs:read"],
    [{ TROUPE_RATE_LIMIT: "0" }, "from 1, or none"],
    [{ PORT: "65536" }, "from 0 to 65535"],
    [{ PORT: "8e3" }, "from 0 to 65535"],
    [{ GRPC_PORT: "70000" }, "from 0 to 65535, or off"],
    [{ GRPC_TLS_CERT: "c" }, "GRPC_TLS_KEY"],
    [{ GRPC_TLS_CLIENT_CA: "c" }, "needs GRPC_TLS_CERT"],
  ])("%j", (env, said) => {
    expect(problems(env as unknown as Record<string, string>)).toEqual([expect.stringContaining(said)]);
  });

  test("a password in an address is not repeated", () => {
    expect(problems({ NATS_URL: "http://u:sesame@h" }).join()).not.toContain("sesame");
  });
});

describe("the command line", () => {
  test("every flag reaches its setting; a repeatable one collects", () => {
    const command = new Command("start");
    addFlags(command);
    command.parse(["-p", "9", "--agents", "a.ts", "b.ts", "--agents", "c.ts,d.ts", "--ws-buffer-max", "2MiB"], {
      from: "user",
    });
    const flags = flagsFrom(command.opts());
    expect(flags).toEqual({ port: "9", agents: ["a.ts", "b.ts", "c.ts", "d.ts"], wsBufferBytesMax: "2MiB" });
    expect(loadConfig(flags, {})).toMatchObject({ port: 9, wsBufferBytesMax: 2 ** 21 });
  });

  test("help and table name every setting, and no flag takes a secret", () => {
    const command = new Command("start");
    addFlags(command);
    const help = command.helpInformation() + environmentHelp();
    for (const one of Object.values(settings)) {
      expect(help).toContain(one.env);
      expect(settingsTable()).toContain(`| \`${one.env}\` |`);
      if (/PASSWORD|TOKEN|_KEYS?$/.test(one.env) && !one.env.includes("_TLS_")) expect(one.flag).toBeNull();
    }
    expect(help).toMatch(/risks\s+the acknowledged commits/);
  });

  test("names and flags are given once", () => {
    const all = Object.values(settings);
    expect(new Set(all.map((one) => one.env)).size).toBe(all.length);
    const flags = all.flatMap((one) => one.flag?.match(/(^| )--?[a-z-]+/g) ?? []);
    expect(new Set(flags).size).toBe(flags.length);
  });
});

describe("the environment", () => {
  test("a .env file adds what the process does not set", () => {
    const directory = mkdtempSync(join(tmpdir(), "troupe-env-"));
    try {
      writeFileSync(join(directory, ".env"), 'MODEL_NAME="from file"\nPATH=/nowhere\n');
      const env = readEnvironment(directory);
      expect(env.MODEL_NAME).toBe("from file");
      expect(env.PATH).toBe(process.env.PATH);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("the client's part", () => {
    expect(clientEnvironment({ TROUPE_URL: "http://h", EDITOR: "ed", NO_COLOR: "1" })).toEqual({
      url: "http://h",
      key: undefined,
      noColor: true,
      editor: "ed",
    });
  });

  test(".env.example names settings only, and starts as it is", () => {
    const text = readFileSync(new URL("../.env.example", import.meta.url), "utf8");
    const lines = [...text.matchAll(/^(?:# )?([A-Z_]+)=(.*)$/gm)].map((m) => [m[1] ?? "", m[2] ?? ""] as const);
    const compose = readFileSync(new URL("../docker-compose.cluster.yml", import.meta.url), "utf8");
    const known = new Set<string>(Object.values(settings).map((one) => one.env));
    const ofCompose = (name: string) => compose.includes(`\${${name}`);
    expect(lines.filter(([name]) => !known.has(name) && !ofCompose(name))).toEqual([]);
    expect(problems(Object.fromEntries(lines.filter(([name]) => known.has(name))))).toEqual([]);
  });
});
