/**
 * The course of a chaos test: undisturbed runs for comparison, then clients at work while something
 * is killed again and again, then calm, and the checks.
 */
import { check, resultOf } from "./check.ts";
import { Client } from "./client.ts";
import { Feed } from "./follow.ts";
import { pause, Troupe } from "./harness.ts";
import type { Random } from "./random.ts";
import { anything, burst, registerWorkflows, undisturbed } from "./scenarios.ts";
import { World } from "./world.ts";

export interface Storm {
  readonly random: Random;
  readonly kills: number;
  /** The test's: aborted when its time is up. */
  readonly signal: AbortSignal;
  /** Clients at work at once. */
  readonly clients: number;
  /** Kills once and sees to it that all runs again, or will. */
  strike(troupe: Troupe, world: World): Promise<void>;
}

/** Weathers the storm; gives what is wrong, and what was done. */
export async function weather(storm: Storm): Promise<{ wrong: string[]; summary: string }> {
  const troupe = await Troupe.create();
  const feed = new Feed(() => troupe.base);
  let wrong: string[] = ["it did not come to the checks"];
  const begin = performance.now();
  try {
    await troupe.start();
    const world = new World(new Client(troupe.base), storm.random);
    await registerWorkflows(world);
    await feed.start();
    await undisturbed(world);
    const expected = new Map<string, string>();
    for (const run of world.runs.values()) expected.set(run.variety, await resultOf(world.client, run.id));
    const calmMs = performance.now() - begin;
    world.disturbed = true;
    const work = new Clients(world, storm.clients);
    for (let i = 0; i < storm.kills; i++) {
      work.checkAlive();
      storm.signal.throwIfAborted();
      await storm.strike(troupe, world);
    }
    await troupe.ready();
    const stormMs = performance.now() - begin - calmMs;
    await Promise.race([work.finish(), aborted(storm.signal)]);
    wrong = await check({ world, feed, expected, effectsFile: troupe.effects });
    const streams = await Promise.all([...world.runs.values()].map((run) => run.stream.catch(() => null)));
    const resumed = streams.reduce((sum, stream) => sum + (stream === null ? 0 : stream.connections - 1), 0);
    const starts = troupe.startsMs.toSorted((a, b) => a - b).map(Math.round);
    const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
    const summary =
      `${storm.kills} kills; ${world.runs.size} runs, ${world.tasks.size} tasks, ${world.tries.size} single tries; ` +
      `${feed.events.length} events; ${resumed} SSE and ${feed.connections - 1} WebSocket resumptions; ` +
      `ready after ${starts[starts.length >> 1]} ms (longest ${starts.at(-1)}); ` +
      `calm ${seconds(calmMs)}, storm ${seconds(stormMs)}, in all ${seconds(performance.now() - begin)}`;
    return { wrong, summary };
  } finally {
    feed.stop();
    await troupe.dispose(wrong.length > 0);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Clients that do one thing after the other; bursts come on top. */
class Clients {
  private readonly working: Promise<void>[];
  private stopped = false;
  private failure: unknown;

  constructor(
    private readonly world: World,
    count: number,
  ) {
    this.working = Array.from({ length: count }, () => this.work());
  }

  private async work(): Promise<void> {
    while (!this.stopped) await anything(this.world).catch((error: unknown) => this.fail(error));
  }

  private fail(error: unknown): void {
    this.stopped = true;
    this.failure ??= error;
  }

  /** Throws what a client could not put up with. */
  checkAlive(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  async finish(): Promise<void> {
    this.stopped = true;
    await Promise.all([...this.working, ...bursts.splice(0)]);
    this.checkAlive();
  }
}

/** Bursts under way; a kill does not wait for their end. */
const bursts: Promise<void>[] = [];

/** Before some kills: many commands at once, and the kill among their commits. */
export async function maybeBurst(world: World): Promise<void> {
  const { random } = world;
  if (!random.chance(0.4)) return;
  bursts.push(burst(world, random.between(6, 18)));
  await pause(random.between(0, 25));
}
