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
const attempts = (s: { context: Record<string, unknown> }) =>
  Object.fromEntries(
    Object.entries(s.context.slots as Record<string, { attempt: number }>).map(([task, slot]) => [task, slot.attempt]),
  );
const status = (s: Stepped) => agentStatus(s.state.value);

describe("an agent", () => {
  it("registers, and is idle", () => {
    const s = grown().when(register);
    expect(status(s)).toBe("idle");
    expect(story(s.effects)).toEqual([
      "emit registered",
      'reply {"registered":true}',
      "announce free",
      "remind xstate.after.silence.agent.present at 90000",
    ]);
    expect(agent.index?.(s.state)).toEqual({
      status: "idle",
      presence: "present",
      agentType: "echo",
      capabilities: ["text"],
      created: 0,
    });
  });

  it("grants its slots and no more", () => {
    expect(status(grown(register).when(assign("t1")))).toBe("active");
    const full = grown(register, assign("t1"), assign("t2"));
    expect(status(grown(register, assign("t1")).when(assign("t2")))).toBe("busy");
    expect(story(full.when(assign("t3")).effects)).toEqual(["refuse overloaded"]);
    expect(story(full.when(assign("t2")).effects)).toEqual(['reply {"free":0}']);
    expect(story(grown(register).when(assign("t1", 4)).effects)).toEqual([
      "send task/t1 task.assign",
      "announce granted",
      'reply {"free":1}',
    ]);
    expect(attempts(full.when(assign("t2", 2)))).toEqual({ t1: 1, t2: 2 });
    expect(story(grown(register, assign("t1", 2)).when(assign("t1", 1)).effects)).toEqual(["refuse conflict"]);
    expect(status(full.when(release("t1")))).toBe("active");
    // Busy and back, for those who watch agents.
    expect(grown(register, assign("t1")).when(assign("t2")).effects).toContainEqual(
      expect.objectContaining({ name: "status_changed", data: { from: "active", to: "busy" } }),
    );
    expect(story(full.when(release("t1")).effects)).toEqual(["emit status_changed", "announce free", "reply null"]);
    expect(attempts(full.when(release("t1", 7)))).toEqual({ t1: 1, t2: 1 });
    expect(status(grown(register, assign("t1")).when(release("t1")))).toBe("idle");
  });

  it("stays available by its heartbeats, which carry what it says of itself", () => {
    const s = grown(register, assign("t1")).when({ type: "agent.heartbeat", status: "fine", currentTasks: 1 }, 5_000);
    expect(status(s)).toBe("active");
    expect(s.context).toMatchObject({
      heartbeatAt: 5_000,
      reported: { status: "fine", currentTasks: 1 },
      slots: { t1: { attempt: 1, at: 1_000 } },
    });
    expect(story(s.effects)).toContain("remind xstate.after.silence.agent.present at 95000");
  });

  it("is unavailable when they stop, and its remote attempts are lost", () => {
    const s = grown(register, assign("t1", 3)).when(silence);
    expect(status(s)).toBe("unavailable");
    expect(s.effects).toContainEqual({
      type: "send",
      to: { type: "task", key: "t1" },
      command: { type: "work.lose", id: "attempt-3", reason: "its agent fell silent or left" },
    });
    expect(story(s.effects)).toContain("emit status_changed");
    expect(story(grown(register, silence).when(assign("t2")).effects)).toEqual(["refuse agent_unavailable"]);
    const back = grown(register, assign("t1"), silence).when({ type: "agent.heartbeat" });
    expect([status(back), back.context.slots]).toEqual(["idle", {}]);
    expect(back.effects).toContainEqual({
      type: "emit",
      name: "status_changed",
      data: { from: "unavailable", to: "active" },
    });
  });

  it("registers anew after a restart, with free slots", () => {
    const s = grown(hosted, assign("t1"), assign("t2")).when({ ...hosted, concurrency: 5 });
    expect([status(s), s.context.slots, s.context.concurrency]).toEqual(["idle", {}, 5]);
    expect(status(grown(register, silence).when(register))).toBe("idle");
  });

  it("keeps its tasks when the same process registers again, and loses them otherwise", () => {
    const instance = { ...register, instance: "p1" };
    const running = grown(instance, assign("t1"));
    expect(attempts(running.when(instance))).toEqual({ t1: 1 });
    const other = running.when({ ...register, instance: "p2" });
    expect(attempts(other)).toEqual({});
    expect(story(other.effects)).toContain("send task/t1 work.lose");
    expect(story(grown(register, assign("t1")).when(register).effects)).toContain("send task/t1 work.lose");
  });

  it("belongs to the credential that registered it, while it is there", () => {
    const mine = { ...register, createdBy: "key:a", secretHash: "a".repeat(64) };
    const other = { ...register, createdBy: "key:b", secretHash: "b".repeat(64) };
    expect(story(grown(mine).when(other).effects)).toEqual(["refuse forbidden"]);
    expect(story(grown(mine, silence).when(other).effects)).toEqual(["refuse forbidden"]);
    expect(grown(mine, { type: "agent.deregister" }).when(other).context.createdBy).toBe("key:b");
    const self = grown(mine).when({ ...register, createdBy: "agent:x", bySelf: true });
    expect(self.context).toMatchObject({ createdBy: "key:a", secretHash: "a".repeat(64) });
    expect(JSON.stringify(self.view)).not.toContain("aaaa");
  });

  it("is not missed before its first heartbeat when it says so", () => {
    const quiet = { ...register, liveness: false };
    expect(grown(quiet).when(silence).unhandled).toBe(true);
    expect(status(grown(quiet, { type: "agent.heartbeat" }).when(silence))).toBe("unavailable");
  });

  it("is unavailable when its health check says so, whatever its heartbeats say, and back when that is well again", () => {
    const checked = { ...register, healthCheckUrl: "https://a.example/health" };
    const health = (ok: boolean): Command => ({ type: "agent.health", ok });
    expect(story(grown(checked).when(health(true)).effects)).toEqual(["reply null"]);
    const unwell = grown(checked, health(true), assign("t1", 3)).when(health(false));
    expect(status(unwell)).toBe("unavailable");
    expect(story(unwell.effects)).toContain("send task/t1 work.lose");
    const down = [checked, health(true), health(false)] as const;
    expect(status(grown(...down).when({ type: "agent.heartbeat" }))).toBe("unavailable");
    expect(status(grown(...down, { type: "agent.heartbeat" }).when(health(true)))).toBe("idle");
    expect(status(grown(...down).when(checked))).toBe("idle");
    expect(status(grown(checked, silence).when({ type: "agent.heartbeat" }))).toBe("idle");
  });

  it("grants no more of its capacity than it has", () => {
    const able = { ...register, concurrency: 9, capacity: { cpu: 2 } };
    const needs = (task: string, amounts: Record<string, number>) => ({ ...assign(task), amounts });
    const half = grown(able, needs("t1", { cpu: 1.5, gpus: 1 }));
    expect(story(half.when(needs("t2", { cpu: 1 })).effects)).toEqual(["refuse overloaded"]);
    expect(half.when(needs("t2", { cpu: 0.5, gpus: 9 })).context.slots).toMatchObject({
      t2: { amounts: { cpu: 0.5 } },
    });
    expect(grown(able, needs("t1", { cpu: 2 }), release("t1")).when(needs("t2", { cpu: 2 })).refusal).toBeUndefined();
  });

  it("hands each slot out once, and again when asked for it by name", () => {
    const take: Command = { type: "agent.take" };
    const two = grown(register, assign("t1"), assign("t2"));
    expect(story(two.when(take).effects)).toEqual(['reply {"task":"t1","attempt":1}']);
    expect(story(grown(register, assign("t1"), assign("t2"), take).when(take).effects)).toEqual([
      'reply {"task":"t2","attempt":1}',
    ]);
    const taken = grown(register, assign("t1"), take);
    expect(story(taken.when(take).effects)).toEqual(["reply null"]);
    expect(story(taken.when({ ...take, task: "t1" }).effects)).toEqual(['reply {"task":"t1","attempt":1}']);
    expect(story(taken.when({ ...take, task: "t9" }).effects)).toEqual(["reply null"]);
  });

  it("hears at its next heartbeat of tasks taken away from it, and of those that it only thinks it has", () => {
    const withdrawn = grown(register, assign("t1"), { ...release("t1"), withdrawn: true });
    const beat: Command = { type: "agent.heartbeat", tasks: ["t7"] };
    expect(story(withdrawn.when(beat).effects)).toContain('reply {"cancelled":["t1","t7"]}');
    expect(withdrawn.when(beat).context.withdrawn).toEqual([]);
  });

  it("reads the slots of an older version", () => {
    const old = { value: { present: "active" }, context: { ...register, slots: { t1: 3 } } };
    expect(agent.migrate?.(old as never, 1).context).toMatchObject({
      slots: { t1: { attempt: 3, at: 0 } },
      liveness: true,
      withdrawn: [],
    });
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
