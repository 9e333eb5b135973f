/**
 * Restate: its server, one node with its defaults, and the services above it in a process of their own. The client
 * calls the server's ingress over HTTP. By default the server syncs its log before it goes on
 * (`rocksdb-disable-wal-fsync = false` of the log server), which is said aloud here.
 */
import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { freePort, start, startApp, starting } from "../child.ts";
import { type Http, httpClient } from "../http.ts";
import { type FanOutWork, Missing, type Running, type Setup, type StateWork } from "../peer.ts";
import type { Passed } from "../step.ts";
import { packageVersions } from "../versions.ts";

export const restate: readonly Setup[] = [
  { system: "Restate", durability: "synced: `rocksdb-disable-wal-fsync = false` (default)", start: run },
];

const packages = ["@restatedev/restate-server", "@restatedev/restate-sdk", "@restatedev/xstate", "xstate"] as const;

function run(): Promise<Running> {
  return starting(async (started) => {
    const [ingress, admin, node, app] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const adminHttp = started.own(httpClient(admin));
    const server = started.own(
      await start({
        name: "restate-server",
        file: serverProgram(),
        args: ["--no-logo", "--base-dir", started.directory("restate"), "--listen-mode", "tcp"],
        env: {
          RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
          RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
          RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
          RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
          RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC: "false",
          RESTATE_DISABLE_TELEMETRY: "true",
          RESTATE_LOG_FILTER: "error",
        },
        ready: async () => (await adminHttp.call("GET", "/health")) === undefined,
      }),
    );
    const services = started.own(
      await startApp("restate services", "restate/services.ts", {
        PORT: String(app),
        NODE_ENV: "production",
        RESTATE_LOGGING: "ERROR",
      }),
    );
    await adminHttp.call("POST", "/deployments", { uri: `http://127.0.0.1:${app}` });
    const http = started.own(httpClient(ingress));
    return {
      versions: packageVersions(...packages),
      processes: { server: server.pid, app: services.pid },
      states: [object(http), machine(http)],
      workflows: [
        {
          what: "handler with three `ctx.run`",
          run: (value) => http.call<Passed>("POST", "/Flow/chain", { value, stamps: [] }),
        },
      ],
      fanOuts: [
        fanOut("calls of another service", http, "/Flow/calls"),
        fanOut("`ctx.run` in one handler", http, "/Flow/runs"),
      ],
      stop: () => started.stop(),
    };
  });
}

function object(http: Http): StateWork {
  const add = (i: number) => http.call<number>("POST", `/Counter/object-${i}/add`);
  const begin: number[] = [];
  return {
    what: "virtual object",
    create: async (count) => {
      for (let i = 0; i < count; i++) begin[i] = await add(i);
    },
    change: async (i) => (await add(i)) - (begin[i] ?? 0),
  };
}

function machine(http: Http): StateWork {
  return {
    what: "XState machine (`@restatedev/xstate`)",
    create: async (count) => {
      for (let i = 0; i < count; i++) await http.call("POST", `/CounterMachine/object-${i}/create`, {});
    },
    change: async (i) => {
      const event = { event: { type: "add" } };
      const snapshot = await http.call<{ context: { n: number } }>("POST", `/CounterMachine/object-${i}/send`, event);
      return snapshot.context.n;
    },
  };
}

function fanOut(what: string, http: Http, path: string): FanOutWork {
  return { what, run: (tasks) => http.call<number>("POST", path, { tasks }) };
}

/** The program itself, so that it is this process that is ended. */
function serverProgram(): string {
  const name = `@restatedev/restate-server-${platform()}-${arch()}/bin/restate-server`;
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch {
    throw new Missing(
      `There is no restate-server for ${platform()} ${arch()}: \`npm ci\` brings it for Linux and macOS.`,
    );
  }
}
