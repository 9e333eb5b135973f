/**
 * DBOS on PostgreSQL. DBOS is a library: workflows run in the application's process, here behind an HTTP server, and
 * the client speaks HTTP to it. It has no addressable objects: the nearest is a row that is updated.
 */
import { freePort, startApp, starting } from "../child.ts";
import { type Http, httpClient } from "../http.ts";
import type { FanOutWork, Running, Setup, StateWork } from "../peer.ts";
import type { Passed } from "../step.ts";
import { packageVersions } from "../versions.ts";
import { startPostgres } from "./postgres.ts";

export const dbos: readonly Setup[] = [
  { system: "DBOS on PostgreSQL", durability: "synced: `fsync=on`, `synchronous_commit=on` (default)", start: run },
];

/** Connections to PostgreSQL, for DBOS and for the application each. DBOS's default is 10. */
const pool = 32;

function run(): Promise<Running> {
  return starting(async (started) => {
    const postgres = await startPostgres(started);
    const port = await freePort();
    const app = started.own(
      await startApp("dbos", "dbos/app.ts", {
        DATABASE_URL: postgres.url,
        PORT: String(port),
        POOL: String(pool),
        NODE_ENV: "production",
      }),
    );
    const http = started.own(httpClient(port));
    return {
      versions: {
        postgresql: postgres.version,
        ...packageVersions("@dbos-inc/dbos-sdk", "postgres"),
      },
      processes: { server: postgres.child.pid, app: app.pid },
      states: [
        state("plain `UPDATE`, no workflow", "row", http, "add"),
        state("workflow of one step with an `UPDATE`", "workflow", http, "add-workflow"),
      ],
      workflows: [
        {
          what: "workflow with three steps",
          run: (value) => http.call<Passed>("POST", "/chain", { value, stamps: [] }),
        },
      ],
      fanOuts: [
        fanOut("child workflows, started directly", http, "children"),
        fanOut("child workflows over a queue", http, "queue"),
        fanOut("steps of one workflow", http, "steps"),
      ],
      stop: () => started.stop(),
    };
  });
}

/** Each with rows of its own. */
function state(what: string, prefix: string, http: Http, name: string): StateWork {
  return {
    what,
    create: async (count) => {
      for (let i = 0; i < count; i++) await http.call("POST", `/create/${prefix}-${i}`);
    },
    change: (i) => http.call<number>("POST", `/${name}/${prefix}-${i}`),
  };
}

function fanOut(what: string, http: Http, name: string): FanOutWork {
  return { what, run: (tasks) => http.call<number>("POST", `/${name}`, { tasks }) };
}
