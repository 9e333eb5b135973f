/** Every state of every chart is reached: a breadth-first walk that steps as the runtime does. */
import { describe, expect, it } from "vitest";
import { agentDefinition } from "../../src/machines/agent/definition.ts";
import { deliveryDefinition } from "../../src/machines/callback/delivery.ts";
import { callbackDefinition } from "../../src/machines/callback/machine.ts";
import { conflictDefinition } from "../../src/machines/conflict/machine.ts";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import type { Command } from "../../src/machines/effects.ts";
import { topicDefinition } from "../../src/machines/publication/topic.ts";
import { requestDefinition } from "../../src/machines/request/machine.ts";
import { runDefinition } from "../../src/machines/run/definition.ts";
import { subscriptionDefinition } from "../../src/machines/subscription/machine.ts";
import { taskDefinition } from "../../src/machines/task/machine.ts";
import { templateDefinition } from "../../src/machines/task-template/machine.ts";
import { workflowDefinition, workflowVersionDefinition } from "../../src/machines/workflow/machine.ts";
import { absent, type State, step } from "./driver.ts";
import { createRun, sha256, workflow } from "./workflows.ts";
import { bad, ok } from "./world.ts";

/** All states reachable with these commands, breadth first, with the way to each. */
function explore(
  definition: ActorDefinition,
  key: string,
  commands: readonly Command[],
  depthMax: number,
): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const seen = new Set<string>();
  let edge: { state: State; path: string[] }[] = [{ state: absent(definition), path: [] }];
  for (let depth = 0; depth <= depthMax; depth++) {
    const next: typeof edge = [];
    for (const { state, path } of edge) {
      const name = JSON.stringify(state.value);
      if (!found.has(name)) found.set(name, path);
      for (const command of commands) {
        const stepped = step(definition, state, command, { type: definition.type, key }, 1_000);
        if (stepped.unhandled || stepped.refusal) continue;
        const fingerprint = JSON.stringify(stepped.state);
        if (seen.has(fingerprint)) continue;
        seen.add(fingerprint);
        next.push({ state: stepped.state, path: [...path, command.type] });
      }
    }
    edge = next;
  }
  return found;
}

/** The chart's atomic states, as state values. */
function statesOf(node: ChartNode): string[] {
  const inner = Object.entries(node.states);
  if (inner.length === 0) return [""];
  return inner.flatMap(([name, child]) =>
    statesOf(child).map((rest) => (rest === "" ? JSON.stringify(name) : `{${JSON.stringify(name)}:${rest}}`)),
  );
}
interface ChartNode {
  readonly states: Readonly<Record<string, ChartNode>>;
}
const chartStates = (definition: ActorDefinition) => statesOf(definition.machine.root as unknown as ChartNode).sort();

const finish = (stage: string, status = "completed") => ({
  type: "run.finish_task",
  stage,
  task: "t",
  status,
  output: 1,
  artifacts: [],
  cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
  attempts: 1,
});

describe("every state is reached", () => {
  it("of a task", () => {
    const create = {
      type: "task.create",
      taskType: "a",
      input: 1,
      dependencies: ["d"],
      timeoutMs: 10,
      deadlineAt: 99,
      retry: { max_attempts: 2, backoff: "fixed", initial_ms: 1, max_ms: 1, jitter: 0 },
    };
    const found = explore(
      taskDefinition,
      "t",
      [
        create,
        { type: "task.dependency_done", key: "d", status: "completed" },
        { type: "task.assign", attempt: 1, agent: "a" },
        { type: "task.start", attempt: 1, agent: "a" },
        { type: "task.start", attempt: 2, agent: "a" },
        { type: "task.report", attempt: 1, outcome: ok(1) },
        { type: "task.report", attempt: 1, outcome: bad("x", true) },
        { type: "task.report", attempt: 2, outcome: bad("x", true) },
        { type: "task.time_out", attempt: 2 },
        { type: "task.miss_deadline" },
        { type: "task.cancel" },
        { type: "xstate.after.backoff.task.open.retrying" },
      ],
      7,
    );
    const passing = ['{"open":"pending"}'];
    expect([...found.keys(), ...passing].sort()).toEqual(chartStates(taskDefinition));
  });

  it("of a run", () => {
    const create = createRun({
      default_timeout_ms: 50,
      failure_strategy: "compensate",
      stages: [
        { name: "a", agent_type: "a", compensate: "u" },
        { name: "b", agent_type: "a", dependencies: ["a"] },
        { name: "u", agent_type: "a", undo: true },
      ],
    });
    const found = explore(
      runDefinition,
      "r",
      [
        create,
        finish("a"),
        finish("b"),
        finish("b", "failed"),
        finish("u"),
        { type: "run.cancel" },
        { type: "run.time_out" },
      ],
      5,
    );
    expect([...found.keys()].sort()).toEqual(chartStates(runDefinition));
  });

  it("of an agent", () => {
    const found = explore(
      agentDefinition,
      "a",
      [
        { type: "agent.register", agentType: "a", name: "A", capabilities: [], concurrency: 2 },
        { type: "agent.assign", task: "t1", attempt: 1 },
        { type: "agent.assign", task: "t2", attempt: 1 },
        { type: "agent.deregister" },
        { type: "xstate.after.silence.agent.present" },
      ],
      4,
    );
    const passing = ['{"present":"registered"}'];
    expect([...found.keys(), ...passing].sort()).toEqual(chartStates(agentDefinition));
  });

  it("of a workflow and its versions", () => {
    const definition = workflow({ stages: [{ name: "a", agent_type: "a" }] });
    const register = { type: "workflow.register", definition, hash: sha256(definition) };
    expect([...explore(workflowDefinition, "w", [register], 2).keys()].sort()).toEqual(chartStates(workflowDefinition));
    const keep = { ...register, type: "workflow_version.register" };
    expect([...explore(workflowVersionDefinition, "w~1.0.0", [keep], 2).keys()].sort()).toEqual(
      chartStates(workflowVersionDefinition),
    );
  });

  it("of what agents say to each other", () => {
    const request = {
      type: "request.create",
      ...{ source: "a", target: "b", requestType: "t", data: 1, timeoutMs: 5, owner: "k" },
    };
    const respond = { type: "request.respond", responseId: "r", status: "success", data: 1, errors: [], by: "b" };
    const report = (attempt: number, ok: boolean, permanent = false) => ({
      type: "delivery.report",
      ...{ attempt, ok, permanent },
    });
    const open = { type: "subscription.open", owner: "k", topics: ["a"], filters: {}, position: "c" };
    const conflict = { type: "conflict.report", conflictType: "x", description: "", severity: "low", reportedBy: "k" };
    const cases: [ActorDefinition, Command[]][] = [
      [requestDefinition, [request, respond, { type: "request.time_out" }, { type: "request.cancel" }]],
      [
        deliveryDefinition,
        [
          { type: "delivery.begin", url: "u", payload: 1, owner: "k" },
          ...[report(1, true), report(1, false), report(1, false, true)],
          { type: "xstate.after.pause.delivery.pausing" },
        ],
      ],
      [callbackDefinition, [{ type: "callback.receive", id: "1", data: 1, by: "a" }]],
      [topicDefinition, [{ type: "topic.publish", id: "1", keyed: false, data: 1, attributes: {}, source: "a" }]],
      [subscriptionDefinition, [open, { type: "subscription.close" }]],
      [conflictDefinition, [conflict, { type: "conflict.resolve", strategy: "manual", losers: [], by: "k" }]],
      [templateDefinition, [{ type: "template.put", schema: {}, hash: "1" }]],
    ];
    for (const [definition, commands] of cases)
      expect([...explore(definition, "k", commands, 3).keys()].sort()).toEqual(chartStates(definition));
  });
});
