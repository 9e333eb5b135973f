/**
 * Hands granted slots out to agents that ask: the next that was not handed out, or again one that was, but whose
 * task did not begin. Long polls, sockets and NATS all come here.
 */

import { address } from "../../machines/address.ts";
import type { AgentContext } from "../../machines/agent/schema.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { Services } from "../operation.ts";
import type { TaskView } from "../operations/task-shape.ts";

type Needed = Pick<Services, "runtime" | "clock" | "limits" | "agentHints">;

export interface HandedOut {
  readonly taskId: string;
  readonly attempt: number;
  readonly view: Json;
}

/** A slot that was handed out is handed out again after this long, when its task has not begun. */
const againMs = 30_000;
/** Between a grant and its letter's arrival at the task. */
const letterMs = 5_000;
/** Hints may be lost: a poll that waits looks by itself this often. */
const lookMs = 5_000;

/**
 * The next task for the agent; null when there is none within `waitMs`, or who asked has gone (`signal`): then none is
 * taken. Throws `not_found`, `agent_unavailable`.
 */
export async function nextTask(
  services: Needed,
  agentId: string,
  waitMs: number,
  signal?: AbortSignal,
): Promise<HandedOut | null> {
  const { clock, agentHints } = services;
  const until = clock.monotonic() + waitMs;
  let wake: () => void = () => {};
  const stop = agentHints.listen(agentId, ({ name }) => {
    if (name === "granted") wake();
  });
  const leave = (): void => wake();
  signal?.addEventListener("abort", leave, { once: true });
  try {
    for (let first = true; signal?.aborted !== true; first = false) {
      let hinted = false;
      const hint = new Promise<void>((resolve) => {
        wake = () => {
          hinted = true;
          resolve();
        };
      });
      const found = (await takeNext(services, agentId)) ?? (first ? await takeAgain(services, agentId) : null);
      if (found !== null) return found;
      const leftMs = until - clock.monotonic();
      if (leftMs <= 0) return null;
      if (!hinted) await Promise.race([hint, pause(clock, Math.min(leftMs, lookMs))]);
    }
    return null;
  } finally {
    signal?.removeEventListener("abort", leave);
    stop();
  }
}

/** The next that was not handed out yet; passes over those whose task wants nothing any more. */
async function takeNext(services: Needed, agentId: string): Promise<HandedOut | null> {
  for (;;) {
    const { runtime, limits } = services;
    const command = { type: "agent.take" };
    const { reply } = await runtime.ask(address("agent", agentId), command, { timeoutMs: limits.askTimeoutMs });
    if (reply === null) return null;
    const { task, attempt } = reply as { task: string; attempt: number };
    const view = await assignedView(services, task, attempt);
    if (view !== null) return { taskId: task, attempt, view };
  }
}

/** One that was handed out long ago and has not begun: the answer may not have arrived. */
async function takeAgain(services: Needed, agentId: string): Promise<HandedOut | null> {
  const { runtime, limits } = services;
  const agent = (await runtime.read(address("agent", agentId))).view as unknown as AgentContext;
  const before = runtime.now() - againMs;
  for (const [task, slot] of Object.entries(agent.slots)) {
    if (slot.takenAt === undefined || slot.takenAt > before) continue;
    const view = await readTask(services, task);
    if (view === null || view.status !== "assigned" || view.attempt !== slot.attempt) continue;
    const command = { type: "agent.take", task };
    const { reply } = await runtime.ask(address("agent", agentId), command, { timeoutMs: limits.askTimeoutMs });
    if (reply !== null) return { taskId: task, attempt: slot.attempt, view: view as unknown as Json };
  }
  return null;
}

/** The task once it knows of the slot; null when that attempt is over. */
export async function assignedView(services: Needed, task: string, attempt: number): Promise<Json | null> {
  const { clock } = services;
  const until = clock.monotonic() + letterMs;
  for (let waitMs = 2; ; waitMs = Math.min(100, waitMs * 2)) {
    const view = await readTask(services, task);
    if (view === null || view.attempt > attempt || view.attempt < attempt) return null;
    if (view.status === "assigned" || view.status === "running") return view as unknown as Json;
    if (view.status !== "ready" || clock.monotonic() > until) return null;
    await pause(clock, waitMs);
  }
}

async function readTask({ runtime }: Needed, task: string): Promise<TaskView | null> {
  try {
    return (await runtime.read(address("task", task))).view as unknown as TaskView;
  } catch (error) {
    if (error instanceof TroupeError && error.code === "not_found") return null;
    throw error;
  }
}

export function pause(clock: Needed["clock"], ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
