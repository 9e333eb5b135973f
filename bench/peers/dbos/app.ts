/** The application of DBOS: its workflows, and the HTTP server that starts them and answers with their results. */
import { createServer } from "node:http";
import { DBOS } from "@dbos-inc/dbos-sdk";
import postgres from "postgres";
import { increment, type Passed } from "../step.ts";

const { DATABASE_URL = "", PORT = "", POOL = "" } = process.env;
const queueName = "peers";
const sql = postgres(DATABASE_URL, { max: Number(POOL), onnotice: () => undefined });

async function add(id: string): Promise<number> {
  const [row] = await sql`update counters set n = n + 1 where id = ${id} returning n`;
  return Number(row?.n);
}

/**
 * A step runs at least once. DBOS's data sources make it exactly once, at the price of a transaction around it; those
 * of Postgres.js and Knex in the registry (4.24.16, 4.5.13) do not start with this version of the SDK.
 */
const addWorkflow = DBOS.registerWorkflow(
  (id: string): Promise<number> => DBOS.runStep(() => add(id), { name: "add" }),
  { name: "addWorkflow" },
);

const chain = DBOS.registerWorkflow(
  async (input: Passed): Promise<Passed> => {
    const first = await DBOS.runStep(async () => increment(input), { name: "first" });
    const second = await DBOS.runStep(async () => increment(first), { name: "second" });
    return DBOS.runStep(async () => increment(second), { name: "third" });
  },
  { name: "chain" },
);

const child = DBOS.registerWorkflow(async (input: Passed): Promise<Passed> => increment(input), { name: "child" });

const stepsOfOne = DBOS.registerWorkflow(
  async (tasks: number): Promise<number> => {
    const each = (value: number) => DBOS.runStep(async () => increment({ value, stamps: [] }), { name: "task" });
    return (await Promise.all(Array.from({ length: tasks }, (_, value) => each(value)))).length;
  },
  { name: "stepsOfOne" },
);

const children = DBOS.registerWorkflow(
  async (tasks: number, queue: string | null): Promise<number> => {
    const options = queue === null ? {} : { queueName: queue };
    const handles = await Promise.all(
      Array.from({ length: tasks }, (_, value) => DBOS.startWorkflow(child, options)({ value, stamps: [] })),
    );
    return (await Promise.all(handles.map((handle) => handle.getResult()))).length;
  },
  { name: "children" },
);

type Handler = (body: never, id: string) => Promise<unknown>;
const handlers: Readonly<Record<string, Handler>> = {
  create: (_body, id) => sql`insert into counters (id, n) values (${id}, 0)`,
  add: (_body, id) => add(id),
  "add-workflow": (_body, id) => addWorkflow(id),
  chain: (body: Passed) => chain(body),
  steps: ({ tasks }: { tasks: number }) => stepsOfOne(tasks),
  children: ({ tasks }: { tasks: number }) => children(tasks, null),
  queue: ({ tasks }: { tasks: number }) => children(tasks, queueName),
};

DBOS.setConfig({
  name: "peers",
  systemDatabaseUrl: DATABASE_URL,
  systemDatabasePoolSize: Number(POOL),
  logLevel: "error",
});
await DBOS.launch();
await DBOS.registerQueue(queueName);
await sql`create table counters (id text primary key, n bigint not null)`;

createServer(async (request, response) => {
  const [, name = "", id = ""] = (request.url ?? "").split("/");
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const handler = handlers[name] as ((body: unknown, id: string) => Promise<unknown>) | undefined;
    if (handler === undefined) throw new Error(`There is no ${name}.`);
    const result = await handler(text === "" ? undefined : JSON.parse(text), id);
    const body = JSON.stringify(result ?? null);
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(PORT), "127.0.0.1", () => process.stdout.write("ready\n"));
