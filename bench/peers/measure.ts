/** The three works, measured on one running system. Owns sizes, warm-up and the checks that the work was done. */
import { type Percentiles, percentiles, type Spread, spread } from "../statistics.ts";
import { type Cost, measureCost } from "./cost.ts";
import { closedLoop, type Loaded } from "./load.ts";
import type { FanOutWork, Running, StateWork, WorkflowWork } from "./peer.ts";
import { betweenSteps, steps } from "./step.ts";

export const objects = 1_000;
export const inFlight = 64;
export const tasks = 1_000;
const fanOutsMin = 3;

/** What one operation cost: microseconds of CPU by role, flushes of the disk. */
export interface EachCost {
  readonly cpu: Readonly<Record<string, number>>;
  readonly flushes: number | undefined;
}

/** With 64 in flight, and with one. */
export interface Costs {
  readonly many: EachCost;
  readonly one: EachCost;
}

/** Latencies in ms. */
export interface StateFigures {
  readonly many: Loaded;
  readonly one: Percentiles;
  readonly cost: Costs;
}

export interface WorkflowFigures {
  readonly one: Percentiles;
  /** From the end of a step to the begin of the next one, one workflow at a time. */
  readonly betweenSteps: Percentiles;
  readonly many: Loaded;
  readonly cost: Costs;
}

export interface FanOutFigures {
  readonly tasks: number;
  readonly runs: number;
  readonly ms: Spread;
  /** Of a task. */
  readonly each: EachCost;
}

type Processes = Running["processes"];

export async function measureState(work: StateWork, processes: Processes, ms: number): Promise<StateFigures> {
  await work.create(objects);
  const changes = new Array<number>(objects).fill(0);
  const counted = new Array<number>(objects).fill(0);
  let next = 0;
  let hasCounts = true;
  const change = async (): Promise<void> => {
    const object = next++ % objects;
    const count = await work.change(object);
    changes[object] = (changes[object] ?? 0) + 1;
    if (count === undefined) hasCounts = false;
    else counted[object] = Math.max(counted[object] ?? 0, count);
  };
  await closedLoop(inFlight, ms / 5, change);
  const many = await costed(processes, () => closedLoop(inFlight, ms, change));
  await closedLoop(1, ms / 10, change);
  const one = await costed(processes, () => closedLoop(1, ms / 2, change));
  const wrong = changes.filter((made, object) => hasCounts && made !== counted[object]).length;
  if (wrong > 0) throw new Error(`${wrong} objects do not count the changes that were acknowledged.`);
  return { many: many.loaded, one: one.loaded, cost: { many: many.each, one: one.each } };
}

export async function measureWorkflow(work: WorkflowWork, processes: Processes, ms: number): Promise<WorkflowFigures> {
  let value = 0;
  let gaps: number[] = [];
  const run = async (): Promise<void> => {
    const given = value++;
    const passed = await work.run(given);
    if (passed.value !== given + steps) throw new Error(`${given} came out as ${passed.value}.`);
    gaps.push(...betweenSteps(passed));
  };
  await closedLoop(1, ms / 5, run);
  gaps = [];
  const one = await costed(processes, () => closedLoop(1, ms / 2, run));
  const between = percentiles(gaps);
  await closedLoop(inFlight, ms / 5, run);
  const many = await costed(processes, () => closedLoop(inFlight, ms, run));
  return {
    one: one.loaded,
    betweenSteps: between,
    many: many.loaded,
    cost: { many: many.each, one: one.each },
  };
}

/** A smaller run first, then as many as fit, at least three. */
export async function measureFanOut(work: FanOutWork, processes: Processes, ms: number): Promise<FanOutFigures> {
  const once = async (count: number): Promise<number> => {
    const begin = performance.now();
    const joined = await work.run(count);
    if (joined !== count) throw new Error(`${joined} of ${count} results were joined.`);
    return performance.now() - begin;
  };
  await once(tasks / 10);
  const cost = measureCost(processes);
  const begin = performance.now();
  const taken: number[] = [];
  while (taken.length < fanOutsMin || performance.now() - begin < ms) taken.push(await once(tasks));
  return { tasks, runs: taken.length, ms: spread(taken), each: perOperation(cost(), taken.length * tasks) };
}

async function costed(processes: Processes, load: () => Promise<Loaded>): Promise<{ loaded: Loaded; each: EachCost }> {
  const cost = measureCost(processes);
  const loaded = await load();
  return { loaded, each: perOperation(cost(), loaded.count) };
}

function perOperation({ cpu, flushes }: Cost, count: number): EachCost {
  return {
    cpu: Object.fromEntries(Object.entries(cpu).map(([role, microseconds]) => [role, microseconds / count])),
    flushes: flushes === undefined ? undefined : flushes / count,
  };
}
