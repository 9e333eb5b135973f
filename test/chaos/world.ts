/**
 * What the chaos tests have asked of Troupe and been promised: the ledger that the checks compare
 * the outside with. Owns how runs and tasks are created; not owned: which (scenarios.ts).
 */
import type { Body, Client, Json } from "./client.ts";
import { followRun, type RunStream } from "./follow.ts";
import type { Random } from "./random.ts";

export interface RunRecord {
  readonly id: string;
  /** Runs of the same variety end alike; a duel's is known when it is decided. */
  variety: string;
  readonly stream: Promise<RunStream>;
}

export interface TaskRecord {
  readonly id: string;
  readonly kind: "slow" | "failing" | "hanging" | "deadline" | "chained";
  readonly body: Body;
}

export class World {
  readonly runs = new Map<string, RunRecord>();
  readonly tasks = new Map<string, TaskRecord>();
  /** Labels of runs created without a key in one try, and whether that was acknowledged. */
  readonly tries = new Map<string, string | null>();
  readonly violations: string[] = [];
  private count = 0;

  constructor(
    readonly client: Client,
    readonly random: Random,
    /** Off while the runs for comparison are made. */
    public disturbed = false,
  ) {}

  next(): number {
    return ++this.count;
  }

  expect(holds: boolean, what: string): void {
    if (!holds) this.violations.push(what);
  }

  /** With an idempotency key, again and again until acknowledged, sometimes twice at once: one run. */
  async createRun(variety: string, workflow: string, input: Json): Promise<RunRecord> {
    const key = `run-${this.random.seed}-${this.next()}`;
    const body = { workflow: named(workflow), input, labels: { key } };
    const copies = this.disturbed && this.random.chance(0.3) ? 2 : 1;
    const replies = await Promise.all(
      Array.from({ length: copies }, () => this.client.send("POST", "/v1/runs", body, key)),
    );
    const ids = replies.map(({ status, body: answer }) => {
      if (status !== 201) throw new Error(`POST /v1/runs: ${status} ${JSON.stringify(answer)}`);
      return (answer.run as Body).run_id as string;
    });
    const id = ids[0] as string;
    this.expect(new Set(ids).size === 1, `one key gave several runs: ${ids.join(", ")}`);
    const cutAfter = (): number =>
      this.disturbed && this.random.chance(0.5) ? this.random.between(1, 4) : Number.POSITIVE_INFINITY;
    const stream = followRun(() => this.client.base, id, cutAfter);
    stream.catch(() => undefined);
    const record: RunRecord = { id, variety, stream };
    this.runs.set(id, record);
    return record;
  }

  /** One try without a key: at most one run; exactly one if it was acknowledged. */
  async tryRun(): Promise<void> {
    const label = `try-${this.random.seed}-${this.next()}`;
    const body = { workflow: named("echo@0.1.0"), input: { value: 1 }, labels: { key: label } };
    this.tries.set(label, null);
    const reply = await this.client.once("POST", "/v1/runs", body);
    if (reply?.status === 201) this.tries.set(label, (reply.body.run as Body).run_id as string);
  }

  async createTask(kind: TaskRecord["kind"], body: Body): Promise<TaskRecord> {
    const key = `task-${this.random.seed}-${this.next()}`;
    const { status, body: answer } = await this.client.send("POST", "/v1/tasks", body, key);
    if (status !== 201) throw new Error(`POST /v1/tasks: ${status} ${JSON.stringify(answer)}`);
    const record: TaskRecord = { id: (answer.task as Body).task_id as string, kind, body };
    this.expect(!this.tasks.has(record.id), `two keys gave one task: ${record.id}`);
    this.tasks.set(record.id, record);
    return record;
  }
}

/** `name@version` */
function named(workflow: string): Body {
  const [name = "", version = ""] = workflow.split("@");
  return { name, version };
}
