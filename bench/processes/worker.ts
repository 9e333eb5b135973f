/** An agent from outside with one slot: takes the next task, completes it, takes the next. Over a bare connection. */
import { Connection, request } from "../connection.ts";
import { serve } from "../process.ts";

export interface Dispatches {
  readonly port: number;
  readonly agent: string;
  readonly count: number;
}

export const handlers = { register, work };
if (process.send !== undefined) serve(handlers);

const waitS = 30;

/** Registers the agent; gives when it stands. */
async function register({ port, agent, type }: { port: number; agent: string; type: string }): Promise<void> {
  const connection = await Connection.open(port);
  const body = { agent_id: agent, agent_type: type, max_concurrent_tasks: 1, heartbeat_ms: 3_600_000 };
  await ask(connection, "POST", "/v1/agents", body);
  connection.close();
}

/** The times from telling that a task is done until the next one is in hand, ms. */
async function work({ port, agent, count }: Dispatches): Promise<readonly number[]> {
  const connection = await Connection.open(port);
  const next = async (): Promise<string> => {
    const { task } = await ask<{ task: { task_id: string } | null }>(
      connection,
      "GET",
      `/v1/agents/${agent}/tasks/next?wait=${waitS}`,
    );
    if (task === null) throw new Error(`no task within ${waitS} s`);
    return task.task_id;
  };
  const times: number[] = [];
  let task = await next();
  for (let i = 0; i < count; i++) {
    const at = performance.now();
    await ask(connection, "PATCH", `/v1/tasks/${task}`, { status: "completed", agent_id: agent, output: null });
    if (i === count - 1) break;
    task = await next();
    times.push(performance.now() - at);
  }
  connection.close();
  return times;
}

function ask<T>(connection: Connection, method: string, path: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const bytes = request(method, path, body === undefined ? undefined : JSON.stringify(body));
    connection.send(bytes, (status, answer) => {
      if (status < 200 || status > 299) reject(new Error(`${method} ${path}: ${status} ${answer.toString()}`));
      else resolve(JSON.parse(answer.toString()) as T);
    });
  });
}
