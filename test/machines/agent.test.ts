import { describe, expect, it } from "vitest";
import { agentDefinition as agent } from "../../src/machines/agent/definition.ts";
import { agentStatus } from "../../src/machines/agent/machine.ts";
import type { Command } from "../../src/machines/effects.ts";
import { type Given, given, type Stepped, story } from "./driver.ts";

const register: Command = {
  type: "agent.register",
  agentType: "echo",
  name: "Echo",
  capabilities: ["text"],
  concurrency: 2,
};
const hosted = { ...register, hosted: { node: "n1" } };
const assign = (task: string, attempt = 1): Command => ({ type: "agent.assign", task, attempt });
const release = (task: string, attempt = 1): Command => ({ type: "agent.release", task, attempt });
const silence: Command = { type: "xstate.after.silence.agent.present" };
const grown = (...commands: Given[]) => given(agent, "agent/echo-n1", commands);
const status = (s: Stepped) => agentStatus(s.state.value);

describe("an agent", () => {
  it("registers, and is idle", () => {
    const s = grown().when(register);
    expect(status(s)).toBe("idle");
    expect(story(s.effects)).toEqual([
      "emit registered",
      'reply {"registered":true}',
      "remind xstate.after.silence.agent.present at 45000",
    ]);
    expect(agent.index?.(s.state)).toEqual({ status: "idle", agentType: "echo", capabilities: ["text"], created: 0 });
  });

  it("grants its slots and no more", () => {
    expect(status(grown(register).when(assign("t1")))).toBe("active");
    const full = grown(register, assign("t1"), assign("t2"));
    expect(status(grown(register, assign("t1")).when(assign("t2")))).toBe("busy");
    expect(story(full.when(assign("t3")).effects)).toEqual(["refuse overloaded"]);
    expect(story(full.when(assign("t2")).effects)).toEqual(["reply null"]);
    expect(full.when(assign("t2", 2)).context.slots).toEqual({ t1: 1, t2: 2 });
    expect(status(full.when(release("t1")))).toBe("active");
    expect(full.when(release("t1", 7)).context.slots).toEqual({ t1: 1, t2: 1 });
    expect(status(grown(register, assign("t1")).when(release("t1")))).toBe("idle");
  });

  it("stays available by its heartbeats, which carry what it says of itself", () => {
    const s = grown(register, assign("t1")).when({ type: "agent.heartbeat", status: "fine", currentTasks: 1 }, 5_000);
    expect(status(s)).toBe("active");
    expect(s.context).toMatchObject({
      heartbeatAt: 5_000,
      reported: { status: "fine", currentTasks: 1 },
      slots: { t1: 1 },
    });
    expect(story(s.effects)).toContain("remind xstate.after.silence.agent.present at 50000");
  });

  it("is unavailable when they stop, and its remote attempts are lost", () => {
    const s = grown(register, assign("t1", 3)).when(silence);
    expect(status(s)).toBe("unavailable");
    expect(s.effects).toContainEqual({
      type: "send",
      to: { type: "task", key: "t1" },
      command: { type: "work.lose", id: "attempt-3", reason: "its agent fell silent or left" },
    });
    expect(story(grown(hosted, assign("t1")).when(silence).effects).join()).not.toContain("work.lose");
    expect(story(grown(register, silence).when(assign("t2")).effects)).toEqual(["refuse agent_unavailable"]);
    const back = grown(register, assign("t1"), silence).when({ type: "agent.heartbeat" });
    expect([status(back), back.context.slots]).toEqual(["idle", {}]);
    expect(story(back.effects)).toContain("emit available");
  });

  it("registers anew after a restart, with free slots", () => {
    const s = grown(hosted, assign("t1"), assign("t2")).when({ ...hosted, concurrency: 5 });
    expect([status(s), s.context.slots, s.context.concurrency]).toEqual(["idle", {}, 5]);
    expect(status(grown(register, silence).when(register))).toBe("idle");
  });

  it("goes, and may come back", () => {
    const gone = grown(register, assign("t1"), { type: "agent.deregister" });
    expect(story(grown(register, assign("t1")).when({ type: "agent.deregister" }).effects)).toContain(
      "send task/t1 work.lose",
    );
    expect(story(gone.when({ type: "agent.heartbeat" }).effects)).toEqual(["refuse agent_unavailable"]);
    expect(story(gone.when(assign("t1")).effects)).toEqual(["refuse agent_unavailable"]);
    expect(story(gone.when(release("t1")).effects)).toEqual(["reply null"]);
    expect(status(gone.when(register))).toBe("idle");
  });
});
