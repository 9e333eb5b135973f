/**
 * BullMQ on Redis. The client is BullMQ itself, over its own connections; workers run in a process of their own.
 * It has no addressable objects: shown are the data of a job, which is written as it is, and a job whose worker
 * changes a hash.
 */
import { FlowProducer, type Job, Queue, QueueEvents } from "bullmq";
import { startApp, starting } from "../child.ts";
import type { FanOutWork, Running, Setup, StateWork, WorkflowWork } from "../peer.ts";
import { type Passed, steps } from "../step.ts";
import { packageVersions } from "../versions.ts";
import { type AppendFsync, startRedis } from "./redis.ts";

export const bullmq: readonly Setup[] = [
  { system: "BullMQ on Redis", durability: "synced: `appendfsync always`", start: () => run("always") },
  {
    system: "BullMQ on Redis",
    durability: "up to 1 s may be lost: `appendfsync everysec` (usual)",
    start: () => run("everysec"),
  },
];

type Connection = { readonly host: string; readonly port: number; readonly maxRetriesPerRequest: null };

function run(appendfsync: AppendFsync): Promise<Running> {
  return starting(async (started) => {
    const redis = await startRedis(started, appendfsync);
    const worker = started.own(
      await startApp("bullmq workers", "bullmq/worker.ts", { REDIS_PORT: String(redis.port), NODE_ENV: "production" }),
    );
    const connection: Connection = { host: "127.0.0.1", port: redis.port, maxRetriesPerRequest: null };
    const closing = <T extends { close(): Promise<void>; setMaxListeners(count: number): unknown }>(one: T): T => {
      // Every caller that waits for its job's end listens.
      one.setMaxListeners(0);
      started.onStop(() => one.close());
      return one;
    };
    const queue = (name: string) => closing(new Queue(name, { connection }));
    const events = async (name: string) => {
      const one = closing(new QueueEvents(name, { connection }));
      await one.waitUntilReady();
      return one;
    };
    const flows = closing(new FlowProducer({ connection }));
    return {
      versions: { redis: redis.version, ...packageVersions("bullmq", "ioredis") },
      processes: { server: redis.child.pid, app: worker.pid },
      states: [jobData(queue("objects")), changeByJob(queue("changes"), await events("changes"))],
      workflows: [chain(flows, await events("steps"))],
      fanOuts: [children(flows, await events("joins"))],
      stop: () => started.stop(),
    };
  });
}

/** Jobs without a worker; their data is replaced. Nothing is read, so there is no count of changes. */
function jobData(queue: Queue): StateWork {
  let jobs: Job[] = [];
  return {
    what: "`job.updateData`, no worker",
    create: async (count) => {
      jobs = await queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: "object", data: { n } })));
    },
    change: async (i) => {
      await jobs[i]?.updateData({ n: i });
      return undefined;
    },
  };
}

function changeByJob(queue: Queue, events: QueueEvents): StateWork {
  return {
    what: "job, its worker changes a hash",
    // The hash begins with its first change.
    create: async () => undefined,
    change: async (i) => {
      const job = await queue.add("change", { id: `object-${i}` });
      return Number(await job.waitUntilFinished(events));
    },
  };
}

function chain(flows: FlowProducer, events: QueueEvents): WorkflowWork {
  type Node = Parameters<FlowProducer["add"]>[0];
  const nested = (depth: number, data: Passed): Node => ({
    name: "step",
    queueName: "steps",
    data,
    ...(depth > 1 && { children: [nested(depth - 1, data)] }),
  });
  return {
    what: "flow of three jobs",
    run: async (value) => {
      const { job } = await flows.add(nested(steps, { value, stamps: [] }));
      return (await job.waitUntilFinished(events)) as Passed;
    },
  };
}

function children(flows: FlowProducer, events: QueueEvents): FanOutWork {
  return {
    what: "children of one job",
    run: async (tasks) => {
      const { job } = await flows.add({
        name: "join",
        queueName: "joins",
        data: {},
        children: Array.from({ length: tasks }, (_, value) => ({
          name: "task",
          queueName: "tasks",
          data: { value, stamps: [] },
        })),
      });
      return Number(await job.waitUntilFinished(events));
    },
  };
}
