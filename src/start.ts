/**
 * The composition root: `troupe start`. Brings up NATS, node, agents and gateway in that order, and takes
 * them down in the other. The only file that sees every house.
 */
import { hostname } from "node:os";
import pino from "pino";
import { Grants } from "./actors/dispatch/grants.ts";
import { AgentExecutor } from "./actors/executors/agent.ts";
import { CallbackExecutor } from "./actors/executors/callback.ts";
import { HealthExecutor } from "./actors/executors/health.ts";
import { ResolveExecutor } from "./actors/executors/resolve.ts";
import { type Host, startHost } from "./actors/host.ts";
import { Hosting } from "./actors/hosting.ts";
import { newOutside } from "./actors/outside.ts";
import type { TroupeRuntime } from "./actors/runtime.ts";
import { builtInWorkflows } from "./builtin/index.ts";
import { BusError } from "./bus/bus.ts";
import { connectNats, type NatsBus } from "./bus/nats/bus.ts";
import { ensureServer } from "./bus/server/ensure.ts";
import { type NatsServer, ServerError } from "./bus/server/options.ts";
import { type Config, ConfigError, type Environment, type Flags, loadConfig } from "./config.ts";
import { createGateway, type Gateway, operations, parseApiKeys, serverBuild } from "./gateway/index.ts";
import { hashJson } from "./gateway/json.ts";
import type { Operation } from "./gateway/operation.ts";
import type { ActorDefinition } from "./machines/definition.ts";
import { TroupeError } from "./machines/errors.ts";
import { definitions } from "./machines/index.ts";
import { describeIssues, parseWorkflow } from "./machines/workflow/check.ts";
import { agentsOf } from "./start-agents.ts";
import { authOf } from "./start-auth.ts";
import { grpcOf } from "./start-grpc.ts";
import { natsOptions } from "./start-nats.ts";

type Log = pino.Logger;

const workflowRetryMs = 1000;

/** What has been started, newest last; stopped from the end. */
type Started = { readonly what: string; stop(): Promise<void> }[];

/** What a process hosts beside all that comes along: a test's own actors, and the operations on them. */
export interface Additions {
  readonly definitions?: readonly ActorDefinition[];
  readonly operations?: readonly Operation[];
}

/** Runs until it is told to stop; gives the exit code. */
export async function start(
  flags: Flags,
  env: Environment,
  version: string,
  additions: Additions = {},
): Promise<number> {
  let config: Config;
  try {
    config = loadConfig(flags, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
  const log = createLog(config);
  const started: Started = [];
  const stopped = untilSignal(log);
  try {
    await bringUp({ config, env, log, version, additions }, started);
    await stopped;
    return 0;
  } catch (error) {
    if (!(error instanceof ServerError || error instanceof BusError || error instanceof TroupeError)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    return 1;
  } finally {
    await takeDown(started, log);
  }
}

function createLog(config: Config): Log {
  const options = { level: config.logLevel, base: null };
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(
    options,
    pino.transport({
      target: "pino-pretty",
      options: { destination: 2, ignore: "pid,hostname", translateTime: "HH:MM:ss.l" },
    }),
  );
}

interface Composition {
  readonly config: Config;
  /** For `${NAME}` in the file of tools. */
  readonly env: Environment;
  readonly log: Log;
  readonly version: string;
  readonly additions: Additions;
}

async function bringUp(composition: Composition, started: Started): Promise<void> {
  const { config, log, version } = composition;
  tellServer(config);
  const server = await ensureServer(config, log);
  started.push({ what: "nats-server", stop: () => server.stop() });
  const bus = await connectNats(natsOptions(config, server, log));
  started.push({ what: "connection", stop: () => bus.close() });
  const node = await startNode(composition, bus, started);
  const gateway = await startGateway(composition, bus, node);
  // A node's health stays visible to the end of its drain.
  const close = { what: "gateway", stop: () => gateway.close(Math.min(config.drainMs, 5000)) };
  if (config.role === "node") started.splice(started.length - 2, 0, close);
  else started.push(close);
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  const at = `http://${host}:${gateway.port}`;
  const grpc = gateway.grpcPort === 0 ? null : `${host}:${gateway.grpcPort}`;
  log.info({ http: at, grpc }, "ready");
  process.stdout.write(`${banner(version, at, grpc, config, server, bus)}\n`);
}

/** Said once where npm installed no native server for this Node. */
function tellServer(config: Config): void {
  if (config.server === "javascript" || serverBuild() === "native") return;
  process.stderr.write(
    `note: uWebSockets.js has no binary here for Node ${process.versions.node}; the slower JavaScript server is used. The official build supports Node 22, 24 and 26: npm install --no-save uNetworking/uWebSockets.js#v20.67.0\n`,
  );
}

function banner(
  version: string,
  at: string,
  grpc: string | null,
  config: Config,
  server: NatsServer,
  bus: NatsBus,
): string {
  const nats = server.owned
    ? `own nats-server ${bus.serverVersion}, data in ${config.dataDir}`
    : `NATS ${bus.serverVersion} at ${server.urls.join(", ")}`;
  const sync = server.owned
    ? config.sync === "always"
      ? ", every commit on disk"
      : `, synced every ${config.sync} ms`
    : "";
  const role = config.role === "all" ? "" : ` as ${config.role}`;
  const served = grpc === null ? "" : `gRPC${config.grpcTlsCert === undefined ? "" : " (TLS)"}: ${grpc} · `;
  const docs = config.role === "node" ? "" : `Docs: ${at}/docs · ${served}`;
  return `Troupe ${version} is ready${role} on ${at} (${nats}${sync})\n${docs}stop with Ctrl-C`;
}

async function startNode(composition: Composition, bus: NatsBus, started: Started): Promise<Host> {
  const { config, log, additions } = composition;
  const name = nameOf(config, bus);
  const common = {
    bus,
    definitions: [...definitions, ...(additions.definitions ?? [])],
    settings: config,
    logger: log,
    name,
    serverVersion: bus.serverVersion,
  };
  if (config.role === "gateway") {
    if (config.agents.length > 0) log.warn("a gateway runs no agents; TROUPE_AGENTS is left out");
    const host = await startHost({ ...common, role: "gateway" });
    started.push({ what: "node", stop: () => host.stop() });
    return host;
  }
  const { agents, close } = await agentsOf(composition, bus);
  started.push({ what: "tools", stop: close });
  let executor: AgentExecutor | undefined;
  const host = await startHost({
    ...common,
    role: config.role,
    executors: (runtime, boot) => {
      const ask = runtime.ask.bind(runtime);
      const announce = runtime.announce.bind(runtime);
      const port = { ask, announce, values: runtime.values, clock: bus.clock, node: boot, name, logger: log };
      executor = new AgentExecutor(port);
      for (const agent of agents) executor.host(agent);
      const outside = newOutside(config.callbackAllow, bus.clock);
      const callbacks = new CallbackExecutor(port, { outside, secret: (name) => runtime.secret(name) });
      return [executor, new ResolveExecutor(port), callbacks, new HealthExecutor(port, outside)];
    },
    hosted: () => executor?.stats() ?? [],
  });
  const { node, runtime } = host;
  const hosts = executor as AgentExecutor | undefined;
  hosts?.reach(runtime, (boot) => node.membership.isLive(boot));
  const grants =
    hosts === undefined ? undefined : new Grants({ clock: bus.clock, logger: log, runtime, executor: hosts });
  const hosting = new Hosting({
    bus,
    runtime: host.runtime,
    logger: log,
    node: name,
    definitions: agents as never,
    stats: () => executor?.stats() ?? [],
    granted: (type, task, attempt) => grants?.granted(type, task, attempt),
    grants: (type) => grants?.tasks(type) ?? [],
    withdrawn: (task) => grants?.withdrawn(task),
  });
  started.push({ what: "node", stop: () => host.stop(config.drainMs) });
  await registerWorkflows(host.runtime, bus, log);
  await hosting.start();
  started.push({ what: "agents", stop: () => hosting.stop() });
  return host;
}

/** Two processes of one name would pass for one in the list of agents. */
function nameOf(config: Config, bus: NatsBus): string {
  if (config.nodeName !== undefined) return config.nodeName;
  const last = config.port === 0 ? bus.random.id().slice(-8) : String(config.port);
  return `${hostname().replace(/[^A-Za-z0-9-]/g, "-")}-${last}`;
}

/** Tried again while another node's partitions have no owner: this one may be starting because that one died. */
async function registerWorkflows(runtime: TroupeRuntime, bus: NatsBus, log: Log): Promise<void> {
  for (const builtIn of builtInWorkflows) {
    const parsed = parseWorkflow(builtIn);
    if (!parsed.ok) throw new TroupeError("internal", `${builtIn.name}: ${describeIssues(parsed.issues)}`);
    // As the gateway does it: what is stored and hashed is the parsed form, with defaults filled in.
    const { definition } = parsed;
    const command = { type: "workflow.register", definition: definition as never, hash: hashJson(definition as never) };
    const to = { type: "workflow", key: definition.name };
    const give = async (): Promise<void> => {
      try {
        await runtime.ask(to, command);
      } catch (error) {
        if (!(error instanceof TroupeError)) throw error;
        const fields = { workflow: definition.name, version: definition.version, err: error };
        if (error.code === "already_exists") {
          log.warn(fields, "the store has this version with another definition; it stays as it is");
        } else {
          if (!error.kind.retryable) throw error;
          log.warn(fields, "a built-in workflow could not be registered yet; trying again");
          bus.clock.after(workflowRetryMs, () => void give().catch(() => {}));
        }
      }
    };
    await give();
  }
}

async function startGateway(composition: Composition, bus: NatsBus, host: Host): Promise<Gateway> {
  const { config, log, version, additions } = composition;
  const gateway = createGateway({
    runtime: host.runtime,
    operations: [...operations, ...(additions.operations ?? [])],
    clock: bus.clock,
    logger: log,
    config: {
      host: config.host,
      port: config.port,
      version,
      server: config.server,
      surface: config.role === "node" ? "health" : "all",
      apiKeys: parseApiKeys(config.apiKeys ?? ""),
      auth: authOf(config),
      grpc: grpcOf(config),
      ...(config.publicUrl === undefined ? {} : { publicUrl: config.publicUrl }),
      agUi: { onDisconnect: config.agUiDisconnect, concurrency: config.agUiConcurrency },
      limits: {
        bodyBytesMax: config.bodyBytesMax,
        wsClientsMax: config.wsClientsMax,
        wsClientsPerCredentialMax: config.wsClientsPerCredentialMax,
        wsMessagesPerSecondMax: config.wsMessagesPerSecondMax,
        wsBufferBytesMax: config.wsBufferBytesMax,
      },
    },
  });
  await gateway.listen();
  return gateway;
}

/** The first Ctrl-C or SIGTERM drains; a second one ends at once. */
function untilSignal(log: Log): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (asked) process.exit(130);
      asked = true;
      log.info({ signal }, "stopping: running work is finished or given back");
      resolve();
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
  });
}

async function takeDown(started: Started, log: Log): Promise<void> {
  for (const one of started.reverse()) {
    log.debug({ what: one.what }, "stopping");
    await one
      .stop()
      .catch((error: unknown) => log.error({ what: one.what, err: error }, "could not be stopped cleanly"));
  }
}
