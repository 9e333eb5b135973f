/** Which statuses count as what: the few words that dashboards use for the many of agents, tasks and runs. */
import type { Tally } from "../../actors/client.ts";

const presentAgents = ["registered", "idle", "active", "busy"];
const pendingTasks = ["waiting", "ready", "retrying", "pending"];
const workingTasks = ["assigned", "running"];

function sum(counts: Readonly<Record<string, number>> | undefined, statuses: readonly string[]): number {
  return statuses.reduce((total, status) => total + (counts?.[status] ?? 0), 0);
}

/** Agents that can be given work or have some: neither unavailable nor gone. */
export const activeAgents = (tally: Tally): number => sum(tally.counts.agent, presentAgents);

/** Tasks that wait: for dependencies, for an agent, or for their next attempt. */
export const waitingTasks = (tally: Tally): number => sum(tally.counts.task, pendingTasks);

/** Tasks that an agent has. */
export const runningTasks = (tally: Tally): number => sum(tally.counts.task, workingTasks);

/** Tasks that have not ended. */
export const activeTasks = (tally: Tally): number => waitingTasks(tally) + runningTasks(tally);
