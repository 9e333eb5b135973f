/**
 * The settings: one table from which come the zod schema, the flags and help of `troupe start`,
 * and the README's table. The only reader of the environment. How one value is read: config-values.ts.
 */
import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { z } from "zod";
import {
  bytes,
  duration,
  headerName,
  hosts,
  httpUrl,
  list,
  natsUrls,
  perMinute,
  portOrOff,
  scopes,
  splitList,
  sync,
  usd,
  whole,
} from "./config-values.ts";

/** The environment as `loadConfig` is given it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line gave, by the setting's name (`dataDir`), a repeatable flag as an array. */
export type Flags = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface Setting<S extends z.ZodType = z.ZodType> {
  /** As Commander declares it, or null for what must not stand in a process list. */
  readonly flag: string | null;
  readonly env: string;
  /** As it would be written; null: none. */
  readonly default: string | null;
  readonly unit: string;
  /** What it does, one or two sentences. */
  readonly text: string;
  readonly schema: S;
}

function setting<S extends z.ZodType>(
  flag: string | null,
  env: string,
  fallback: string,
  unit: string,
  schema: S,
  text: string,
): Setting<S> {
  return { flag, env, default: fallback, unit, schema, text };
}

/** One without a default: absent when nobody sets it. */
function optional<S extends z.ZodType>(flag: string | null, env: string, unit: string, schema: S, text: string) {
  return { flag, env, default: null, unit, schema: schema.optional(), text } satisfies Setting;
}

const text = z.string();
const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
const MiB = 2 ** 20;

// biome-ignore format: one setting, two lines: read as a table
export const settings = {
  role: setting("--role <role>", "TROUPE_ROLE", "all", "role", z.enum(["node", "gateway", "all"], "must be node, gateway or all"),
    "What this process is: `node` (partitions and agents; serves only /healthz, /readyz and /metrics), `gateway` (HTTP and WebSocket, no partitions, no agents), or `all`."),
  nodeName: optional("--name <name>", "TROUPE_NAME", "name", z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, - or _"),
    "This process's name in lists and logs, unlike every other's of the cluster. Default: the host's name and the port."),
  host: setting("--host <address>", "HOST", "127.0.0.1", "address", text,
    "Address to serve on. Another one than loopback needs TROUPE_API_KEYS."),
  port: setting("-p, --port <port>", "PORT", "8000", "port", whole(0, 65535),
    "Port to serve on; 0 takes a free one."),
  grpcPort: setting("--grpc-port <port>", "GRPC_PORT", "50051", "port or off", portOrOff,
    "Port of gRPC, at the same address; 0 takes a free one, `off` serves none. A port that is taken ends the start; the default one, when nobody set it, is then left to whoever has it, with a warning."),
  grpcTlsCert: optional("--grpc-tls-cert <path>", "GRPC_TLS_CERT", "path", text, "Certificate (chain) of gRPC in PEM; without it gRPC is plain text."),
  grpcTlsKey: optional("--grpc-tls-key <path>", "GRPC_TLS_KEY", "path", text, "Key of that certificate."),
  grpcTlsClientCa: optional("--grpc-tls-client-ca <path>", "GRPC_TLS_CLIENT_CA", "path", text,
    "Authority of clients' certificates: every gRPC client has to show one (mutual TLS), and one that sends no key or token is known by its name, with TROUPE_CERT_SCOPES."),
  dataDir: setting("-d, --data-dir <path>", "TROUPE_DATA", "./.troupe", "path", text,
    "Where the embedded nats-server keeps its data, credential and log."),
  apiKeys: optional(null, "TROUPE_API_KEYS", "list", text,
    "Keys of callers: `name:key:scope+scope,…`; without a scope part, every scope. Without any credential (these, stored keys, tokens, certificates) only this machine is served."),
  jwtSecret: optional(null, "TROUPE_JWT_SECRET", "text", text,
    "Shared secret of HS256 tokens in `Authorization: Bearer`."),
  jwtPublicKey: optional(null, "TROUPE_JWT_PUBLIC_KEY", "PEM", text,
    "Public RSA key (or certificate) of RS256 tokens; line ends may be written as `\\n`."),
  jwks: optional("--jwks <source>", "TROUPE_JWKS", "path or address", text,
    "JSON Web Key Set of RS256 tokens: a file or an http(s) address. It is cached, and read again when it changes or a token names an unknown key."),
  jwtIssuer: optional("--jwt-issuer <text>", "TROUPE_JWT_ISSUER", "text", text, "What the claim `iss` of a token must be."),
  jwtAudience: optional("--jwt-audience <text>", "TROUPE_JWT_AUDIENCE", "text", text, "What the claim `aud` of a token must hold."),
  jwtScopes: setting("--jwt-scopes <scopes>", "TROUPE_JWT_SCOPES", "*", "scopes", scopes,
    "Scopes of a token that has neither `scope` nor `scopes`, comma-separated."),
  certHeader: optional("--cert-header <name>", "TROUPE_CERT_HEADER", "name", headerName,
    "Header in which a TLS-terminating proxy tells the client's certificate, such as `client-cert` (RFC 9440). Needs TROUPE_TRUSTED_PROXIES."),
  trustedProxies: setting("--trusted-proxies <list>", "TROUPE_TRUSTED_PROXIES", "", "list", list,
    "Addresses and networks (`10.0.0.0/8`) of proxies whose certificate header is believed."),
  certScopes: optional("--cert-scopes <scopes>", "TROUPE_CERT_SCOPES", "scopes", scopes,
    "What a client with a certificate may do. Default: what an agent may, and register itself."),
  rateLimit: setting("--rate-limit <count>", "TROUPE_RATE_LIMIT", "1000", "per minute", perMinute,
    "Requests a minute of each credential that names no other limit, over all gateways; `none`: no limit. The caller without credentials has none."),
  publicUrl: optional("--public-url <url>", "TROUPE_PUBLIC_URL", "address", httpUrl,
    "How clients reach this node, for download links behind a proxy."),
  agents: setting("-a, --agents <file...>", "TROUPE_AGENTS", "", "paths", list,
    "TypeScript or JavaScript files whose exported agents this node runs."),
  logLevel: setting("--log-level <level>", "LOG_LEVEL", "info", "level", z.enum(logLevels, `must be one of ${logLevels.join(", ")}`),
    `How much is logged: ${logLevels.join(", ")}.`),
  drainMs: setting("--drain <duration>", "TROUPE_DRAIN_MS", "10000", "ms", duration(0, 3600e3),
    "How long running work may go on after Ctrl-C or SIGTERM."),

  natsUrls: setting("--nats-url <url>", "NATS_URL", "", "list", natsUrls,
    "NATS servers with JetStream, comma-separated. Empty: a nats-server of Troupe's own."),
  natsServerBin: optional("--nats-server-bin <path>", "NATS_SERVER_BIN", "path", text,
    "The nats-server to start (2.10 or newer). Default: the one on PATH, else the one that npm installed."),
  natsPort: setting("--nats-port <port>", "NATS_PORT", "0", "port", whole(0, 65535),
    "Loopback port of the embedded nats-server; 0 takes a free one."),
  sync: setting("--sync <always|interval>", "TROUPE_SYNC", "always", "always or ms", sync,
    "When the embedded nats-server syncs commits to disk. An interval such as 2s is faster, and risks the acknowledged commits of that long when the machine crashes or loses power (not when a process is killed)."),
  storeBytesMax: setting("--store-max <size>", "TROUPE_STORE_BYTES_MAX", "64GiB", "bytes", bytes(256 * MiB),
    "What the embedded nats-server may store; at the limit, commands are refused and nothing is dropped."),
  natsUser: optional(null, "NATS_USER", "text", text, "User at the servers of NATS_URL."),
  natsPassword: optional(null, "NATS_PASSWORD", "text", text, "Its password."),
  natsToken: optional(null, "NATS_TOKEN", "text", text, "Token at the servers of NATS_URL."),
  natsCreds: optional("--nats-creds <path>", "NATS_CREDS", "path", text, "Credentials file (JWT and seed) for NATS_URL."),
  natsNkey: optional("--nats-nkey <path>", "NATS_NKEY", "path", text, "File with an NKey seed for NATS_URL."),
  natsTlsCa: optional("--nats-tls-ca <path>", "NATS_TLS_CA", "path", text, "Certificate authority of the servers of NATS_URL."),
  natsTlsCert: optional("--nats-tls-cert <path>", "NATS_TLS_CERT", "path", text, "Client certificate for NATS_URL."),
  natsTlsKey: optional("--nats-tls-key <path>", "NATS_TLS_KEY", "path", text, "Key of the client certificate."),

  partitions: setting("--partitions <count>", "TROUPE_PARTITIONS", "8", "count", whole(1, 1024),
    "Partitions of the actors. Fixed at the first start of a store."),
  streams: setting("--streams <count>", "TROUPE_STREAMS", "4", "count", whole(1, 64),
    "Streams that the partitions' journals share. Fixed at the first start of a store."),
  replicas: setting("--replicas <count>", "TROUPE_REPLICAS", "1", "count", z.enum(["1", "3"], "must be 1 or 3").transform((n): 1 | 3 => (n === "1" ? 1 : 3)),
    "Copies of everything stored: 1, or 3 with a cluster of NATS servers. Fixed at the first start of a store."),
  leaseMs: setting("--lease <duration>", "TROUPE_LEASE_MS", "2000", "ms", duration(200, 60e3),
    "How long a silent node keeps its partitions."),
  flushMs: setting("--flush <duration>", "TROUPE_FLUSH_MS", "1000", "ms", duration(10, 60e3),
    "How long a changed actor may wait until its record is written behind the journal."),
  activeMax: setting("--active-max <count>", "TROUPE_ACTIVE_MAX", "20000", "actors", whole(100, 10e6),
    "Actors kept in memory per partition."),
  replayBytes: setting("--replay <size>", "TROUPE_REPLAY_BYTES", "64MiB", "bytes", bytes(0),
    "Journal kept per partition for subscribers that resume."),

  modelBaseUrl: optional("--model-base-url <url>", "MODEL_BASE_URL", "address", httpUrl,
    "OpenAI-compatible endpoint (such as `http://127.0.0.1:11434/v1`) for the agents that can use a model."),
  modelApiKey: optional(null, "MODEL_API_KEY", "text", text, "Its key."),
  modelName: optional("--model-name <name>", "MODEL_NAME", "name", text, "The model asked for. Needed with MODEL_BASE_URL."),
  modelTimeoutMs: setting("--model-timeout <duration>", "MODEL_TIMEOUT_MS", "60000", "ms", duration(100, 3600e3),
    "How long one answer of the model may take."),
  modelPromptUsd: optional("--model-prompt-usd <usd>", "MODEL_PROMPT_USD_PER_MILLION", "USD", usd,
    "What a million tokens sent to the model cost, for the cost of runs and sessions."),
  modelCompletionUsd: optional("--model-completion-usd <usd>", "MODEL_COMPLETION_USD_PER_MILLION", "USD", usd,
    "What a million tokens of its answers cost."),
  toolsFile: optional("--tools <path>", "TROUPE_TOOLS", "path", text,
    "JSON file with tools for the model agent: HTTP endpoints and MCP servers."),

  agUiDisconnect: setting("--ag-ui-disconnect <cancel|detach>", "TROUPE_AGUI_DISCONNECT", "cancel", "word", z.enum(["cancel", "detach"], "must be cancel or detach"),
    "What becomes of an AG-UI run whose client goes before its end: cancelled, or it goes on and can be joined again."),
  agUiConcurrency: setting("--ag-ui-concurrency <serial|refuse>", "TROUPE_AGUI_CONCURRENCY", "serial", "word", z.enum(["serial", "refuse"], "must be serial or refuse"),
    "What a second run of one thread at once meets: it waits for the first, or is refused. A session's own option wins."),

  callbackAllow: setting("--callback-allow <list>", "TROUPE_CALLBACK_ALLOW", "", "list", hosts,
    "Host names, addresses and networks (`10.0.0.0/8`) that callbacks and health checks may reach although they are private or local. Public ones always may."),

  bodyBytesMax: setting("--body-max <size>", "TROUPE_BODY_BYTES_MAX", "32MiB", "bytes", bytes(1024, 1024 * MiB),
    "Largest body of a request; above it the answer is 413."),
  wsClientsMax: setting("--ws-clients-max <count>", "TROUPE_WS_CLIENTS_MAX", "10000", "count", whole(1, 1e6),
    "WebSocket connections at once."),
  wsClientsPerCredentialMax: setting("--ws-clients-per-credential-max <count>", "TROUPE_WS_CLIENTS_PER_CREDENTIAL_MAX", "1000", "count", whole(1, 1e6),
    "WebSocket connections at once of one credential (at one gateway); the caller without credentials has no such bound."),
  wsMessagesPerSecondMax: setting("--ws-messages-max <count>", "TROUPE_WS_MESSAGES_MAX", "200", "per second", whole(1, 1e6),
    "Messages a second that one WebSocket connection may send (in bursts, ten times as many at once); above it they are refused, and a client that goes on is closed. The caller without credentials has no such bound."),
  wsBufferBytesMax: setting("--ws-buffer-max <size>", "TROUPE_WS_BUFFER_BYTES_MAX", "1MiB", "bytes", bytes(16 * 1024, 256 * MiB),
    "What a slow WebSocket or SSE reader may leave unread before it is told and closed."),
} as const;

type SettingName = keyof typeof settings;
/** The settings cannot be used: every problem, one a line. The process should end with `exitCode`. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly exitCode = 2;
  constructor(readonly problems: readonly string[]) {
    super(`The settings cannot be used:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  }
}

const schema = z.object(
  Object.fromEntries(Object.entries(settings).map(([name, one]) => [name, one.schema])) as unknown as {
    [K in SettingName]: (typeof settings)[K]["schema"];
  },
);

/** Everything a node is configured with; see `settings` for each. */
export type Config = Readonly<z.output<typeof schema>> & {
  /** Directories to look for programs in (the variable PATH). */
  readonly searchPath: string;
  /** The HTTP server (the variable TROUPE_SERVER, for tests and fault-finding): native where it is installed, or ours. */
  readonly server: "native" | "javascript";
  /** Somebody chose the port of gRPC: it has to be had. */
  readonly grpcPortChosen: boolean;
};

/** Flags win over the environment, the environment over defaults; an empty variable counts as absent. Throws ConfigError. */
export function loadConfig(flags: Flags, env: Environment): Config {
  const raw: Record<string, string | undefined> = {};
  const source: Record<string, string> = {};
  for (const [name, one] of Object.entries(settings)) {
    const flag = flags[name];
    const given = typeof flag === "string" || flag === undefined ? flag : flag.join(",");
    raw[name] = given ?? (env[one.env] || undefined) ?? one.default ?? undefined;
    source[name] = given === undefined || one.flag === null ? one.env : `${longFlag(one.flag)} (${one.env})`;
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map((i) => `${source[String(i.path[0])]}: ${i.message}`));
  }
  const server = env.TROUPE_SERVER || "native";
  if (server !== "native" && server !== "javascript") {
    throw new ConfigError(["TROUPE_SERVER: must be native or javascript"]);
  }
  const grpcPortChosen = flags.grpcPort !== undefined || Boolean(env.GRPC_PORT);
  const config: Config = { ...parsed.data, searchPath: env.PATH ?? "", server, grpcPortChosen };
  const problems = contradictions(config);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** What single values cannot show. */
function contradictions(c: Config): string[] {
  const problems: string[] = [];
  const external = c.natsUrls.length > 0;
  if (c.streams > c.partitions) problems.push(`TROUPE_STREAMS: ${c.streams} streams need at least as many partitions.`);
  if (c.role !== "all" && !external) {
    problems.push(`TROUPE_ROLE: a ${c.role} shares its NATS servers with others; set NATS_URL.`);
  }
  if (c.replicas === 3 && !external) {
    problems.push("TROUPE_REPLICAS: 3 needs a cluster of NATS servers; set NATS_URL.");
  }
  if (c.modelBaseUrl && !c.modelName) problems.push("MODEL_NAME: needed with MODEL_BASE_URL.");
  if (external && !c.natsUser !== !c.natsPassword) problems.push("NATS_USER, NATS_PASSWORD: set both or neither.");
  if (!c.natsTlsCert !== !c.natsTlsKey) problems.push("NATS_TLS_CERT, NATS_TLS_KEY: set both or neither.");
  if (!c.grpcTlsCert !== !c.grpcTlsKey) problems.push("GRPC_TLS_CERT, GRPC_TLS_KEY: set both or neither.");
  if (c.grpcTlsClientCa && !c.grpcTlsCert) problems.push("GRPC_TLS_CLIENT_CA: needs GRPC_TLS_CERT and GRPC_TLS_KEY.");
  const ways = [c.natsUser, c.natsToken, c.natsCreds, c.natsNkey].filter(Boolean).length;
  if (ways > 1) problems.push("NATS_USER, NATS_TOKEN, NATS_CREDS, NATS_NKEY: set only one of them.");
  if (!c.certHeader !== (c.trustedProxies.length === 0)) {
    problems.push("TROUPE_CERT_HEADER, TROUPE_TRUSTED_PROXIES: set both or neither.");
  }
  return problems;
}

/** This process's environment, and what a file `.env` in `directory` adds to it. */
export function readEnvironment(directory: string = process.cwd()): Environment {
  const file = `${directory}/.env`;
  // parseEnv came with Node 20.12; older ones go without the file.
  const added = typeof parseEnv === "function" && existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};
  return { ...(added as Environment), ...process.env };
}

/** What the command line's client takes from the environment (its flags are its own). */
export function clientEnvironment(env: Environment) {
  return {
    url: env.TROUPE_URL || undefined,
    key: env.TROUPE_API_KEY || undefined,
    noColor: Boolean(env.NO_COLOR),
    editor: env.VISUAL || env.EDITOR || undefined,
  };
}

/** A command that takes options, such as Commander's. */
interface OptionTaker {
  option(flags: string, description: string, parse: (value: string, before: unknown) => unknown): unknown;
}

/** The settings that say where the store is. */
export const storeSettings = [
  "dataDir",
  "natsUrls",
  "natsServerBin",
  "natsPort",
  "sync",
  "storeBytesMax",
  "natsCreds",
  "natsNkey",
  "natsTlsCa",
  "natsTlsCert",
  "natsTlsKey",
];

/** Declares every flag on a command, or only those of some settings. */
export function addFlags(command: OptionTaker, only?: readonly string[]): void {
  for (const [name, one] of Object.entries(settings)) {
    if (one.flag === null || only?.includes(name) === false) continue;
    const repeatable = one.flag.includes("...");
    const fallback = one.default ? `, default ${one.default}` : "";
    command.option(one.flag, `${one.text} (${one.env}${fallback})`, (value, before) =>
      repeatable ? [...(Array.isArray(before) ? before : []), ...splitList(value)] : value,
    );
  }
}

/** Commander's options (`dataDir`, `ws-buffer-max` as `wsBufferMax`) as flags by the setting's name. */
export function flagsFrom(options: Readonly<Record<string, unknown>>): Flags {
  const flags: Record<string, string | readonly string[]> = {};
  for (const [name, one] of Object.entries(settings)) {
    const value = one.flag === null ? undefined : options[camelCase(longFlag(one.flag))];
    if (typeof value === "string") flags[name] = value;
    else if (Array.isArray(value)) flags[name] = value.map(String);
  }
  return flags;
}

/** Those without a flag, for the end of `troupe start --help`. */
export function environmentHelp(): string {
  const rest = Object.values(settings).filter((one) => one.flag === null);
  return ["Only from the environment:", ...rest.map((one) => `  ${one.env.padEnd(26)} ${one.text}`)].join("\n");
}

/** The README's table of settings, in Markdown. */
export function settingsTable(): string {
  const cell = (value: string) => value.replaceAll("|", "\\|");
  const rows = Object.values(settings).map((one) => {
    const flag = one.flag === null ? "" : `\`${longFlag(one.flag)}\``;
    const fallback = one.default ? `\`${one.default}\`` : "";
    return `| \`${one.env}\` | ${flag} | ${fallback} | ${one.unit} | ${cell(one.text)} |`;
  });
  return ["| Variable | Flag | Default | Unit | What it does |", "|---|---|---|---|---|", ...rows].join("\n");
}

/** `-p, --port <port>` as `--port`. */
function longFlag(flag: string): string {
  return /--[a-z-]+/.exec(flag)?.[0] ?? flag;
}

function camelCase(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
