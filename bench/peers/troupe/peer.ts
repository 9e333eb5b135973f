/**
 * Troupe, as `troupe start` runs it: a node with its own nats-server. The client speaks HTTP, and hears of a run's end
 * over a WebSocket. A state change is a PATCH of a shared state: one actor, one committed step.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Events, rootOf } from "../../events.ts";
import { start, starting } from "../child.ts";
import { type Http, httpClient } from "../http.ts";
import { type FanOutWork, Missing, type Running, type Setup, type WorkflowWork } from "../peer.ts";
import { type Passed, steps } from "../step.ts";
import { packageVersion, versionOf } from "../versions.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const agents = fileURLToPath(new URL("agents.ts", import.meta.url));
const chain = "peers-chain";
const fanOut = "peers-fan-out";

export const troupe: readonly Setup[] = [
  { system: "Troupe", durability: "synced: `--sync always` (default)", start: () => run("always") },
  { system: "Troupe", durability: "up to 1 s may be lost: `--sync 1s`", start: () => run("1s") },
];

function run(sync: string): Promise<Running> {
  return starting(async (started) => {
    if (!existsSync(`${root}/node_modules/xstate`))
      throw new Missing("Troupe's own packages are missing: `npm ci` in the project's root.");
    const node = started.own(
      await start({
        name: "troupe",
        file: process.execPath,
        args: [
          ...["bin/troupe.js", "start", "--port", "0", "--grpc-port", "off", "--sync", sync, "--drain", "0s"],
          ...["--data-dir", started.directory("troupe"), "--log-level", "error", "--agents", agents],
        ],
        cwd: root,
        env: { NATS_URL: "", TROUPE_API_KEYS: "", NODE_OPTIONS: "" },
        ready: /ready on http:\/\/[^:]+:(\d+)/,
        endSignal: "SIGINT",
      }),
    );
    const port = Number(node.said?.[1]);
    const nats = childrenOf(node.pid)[0] ?? node.pid;
    const http = started.own(httpClient(port));
    for (const definition of definitions()) await http.call("PUT", `/v1/workflows/${definition.name}`, definition);
    const runs = await Runs.open(http, port);
    started.onStop(() => runs.close());
    return {
      versions: { troupe: packageVersion(root), "nats-server": versionOf(`/proc/${nats}/exe`, "--version") },
      processes: { app: node.pid, server: nats },
      states: [
        {
          what: "PATCH of a shared state",
          create: async (count) => {
            for (let i = 0; i < count; i++) await http.call("PATCH", statePath(i), { data: { n: 0 } });
          },
          change: async (object) => {
            const { version } = await http.call<{ version: number }>("PATCH", statePath(object), {
              data: { n: object },
            });
            return version - 1;
          },
        },
      ],
      workflows: [workflow(runs)],
      fanOuts: [tasks(runs)],
      stop: () => started.stop(),
    };
  });
}

function workflow(runs: Runs): WorkflowWork {
  return {
    what: "run of three stages",
    run: (value) => runs.run<Passed>(chain, { value, stamps: [] }),
  };
}

function tasks(runs: Runs): FanOutWork {
  return {
    what: "tasks of one stage",
    run: (count) => {
      const items = Array.from({ length: count }, (_, value): Passed => ({ value, stamps: [] }));
      return runs.run<number>(fanOut, { items });
    },
  };
}

function definitions() {
  const stages = Array.from({ length: steps }, (_, i) => ({
    name: `s${i}`,
    agent_type: "increment",
    input: i === 0 ? "${input}" : `\${stages.s${i - 1}.output}`,
    ...(i > 0 && { dependencies: [`s${i - 1}`] }),
  }));
  return [
    { name: chain, version: "1.0.0", stages, output: `\${stages.s${steps - 1}.output}` },
    {
      name: fanOut,
      version: "1.0.0",
      stages: [{ name: "each", agent_type: "increment", for_each: "input.items", input: "${item}" }],
      output: "${size(stages.each.output)}",
    },
  ];
}

/** Starts runs over HTTP and hears of their ends over one WebSocket. */
class Runs {
  readonly #waiting = new Map<string, (end: End) => void>();
  /** Ends that were heard of before the answer to the POST. */
  readonly #ended = new Map<string, End>();

  private constructor(
    private readonly http: Http,
    private readonly events: Events,
  ) {}

  static async open(http: Http, port: number): Promise<Runs> {
    const events = await Events.open(port);
    const runs = new Runs(http, events);
    for (const name of ["completed", "failed"]) {
      await events.subscribe(name, `event.*.run.*.*.${name}`, (text) => runs.#end(name, text));
    }
    return runs;
  }

  async run<T>(name: string, input: unknown): Promise<T> {
    const { run } = await this.http.call<{ run: { run_id: string } }>("POST", "/v1/runs", {
      workflow: { name },
      input,
    });
    const end = this.#ended.get(run.run_id) ?? (await new Promise<End>((done) => this.#waiting.set(run.run_id, done)));
    this.#ended.delete(run.run_id);
    this.#waiting.delete(run.run_id);
    if (end.name !== "completed") throw new Error(`A run of ${name} ${end.name}: ${end.text}`);
    return outputOf(end.text) as T;
  }

  close(): void {
    this.events.close();
  }

  #end(name: string, text: string): void {
    const id = rootOf(text);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) this.#ended.set(id, { name, text });
    else waiting({ name, text });
  }
}

interface End {
  readonly name: string;
  readonly text: string;
}

function outputOf(text: string): unknown {
  const { event } = JSON.parse(text) as { event: { data: { output?: unknown } } };
  return event.data.output;
}

function statePath(i: number): string {
  return `/v1/shared-state/peers/object-${i}`;
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}
