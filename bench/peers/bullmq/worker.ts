/** The application of BullMQ: the workers of its queues. */
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { workersMax } from "../peer.ts";
import { increment, type Passed } from "../step.ts";

const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const redis = new Redis(connection);
const options = { connection, concurrency: workersMax };

/** The object is a hash; whoever wants it changed adds a job. */
const changes = new Worker<{ id: string }, number>(
  "changes",
  (job) => redis.hincrby(`object:${job.data.id}`, "n", 1),
  options,
);

/** A chain is nested jobs: each takes the value of its only child, the innermost that of its data. */
const steps = new Worker<Passed, Passed>(
  "steps",
  async (job) => {
    const [before] = Object.values(await job.getChildrenValues<Passed>());
    return increment(before ?? job.data);
  },
  options,
);

const tasks = new Worker<Passed, Passed>("tasks", async (job) => increment(job.data), options);

const joins = new Worker<object, number>(
  "joins",
  async (job) => Object.keys(await job.getChildrenValues()).length,
  options,
);

const workers = [changes, steps, tasks, joins];
for (const worker of workers) worker.on("error", (error) => process.stderr.write(`${error}\n`));
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
process.stdout.write("ready\n");
