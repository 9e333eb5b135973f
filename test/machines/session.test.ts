/** A session: runs one after the other, messages, state, calls of the front end, its end; with real runs and tasks. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Command, Json } from "../../src/machines/effects.ts";
import { parseWorkflow } from "../../src/machines/index.ts";
import { jsonSize } from "../../src/machines/json.ts";
import { pagedItems } from "../../src/machines/paged.ts";
import { chatWorkflow } from "../../src/machines/session/chat-workflow.ts";
import { type Message, queueMax, type SessionContext } from "../../src/machines/session/schema.ts";
import { sha256 } from "./workflows.ts";
import { bad, ok, World } from "./world.ts";

const at = "session/t";
const parsed = parseWorkflow(chatWorkflow("model-chat"));
if (!parsed.ok) throw new Error("the chat workflow is not valid");
const { definition } = parsed;
const workflow = { name: definition.name, version: definition.version, hash: sha256(definition), definition };

const user = (id: string, content = id): Message => ({ id, role: "user", content }) as Message;
const assistant = (id: string, content = id): Message => ({ id, role: "assistant", content }) as Message;

function begin(id: string, more: Record<string, unknown> = {}): Command {
  const none = sha256({});
  return {
    type: "session.begin_run",
    threadId: "thread",
    runId: `client-${id}`,
    id,
    run: `run_${id}`,
    agent: "model",
    workflow,
    kind: "chat",
    messages: [],
    traceId: "0123456789abcdef0123456789abcdef",
    requestHash: { workflow: none, input: none, context: none, metadata: none, labels: none },
    createdBy: "local",
    ...more,
  } as unknown as Command;
}

const session = (world: World) => world.context<SessionContext>(at);
const status = (world: World, id: string) => session(world).runs.find((run) => run.id === id)?.status;
const messages = (world: World) => pagedItems(session(world).messages);
const ids = (world: World) => messages(world).map(({ id }) => id);

/** The chat agent's answer in a run that is under way. */
function turn(world: World, id: string, more: Record<string, Json> = {}): void {
  const work = world.take(({ at: task }) => task.key.startsWith(`run_${id}~turn`));
  if (work === undefined) throw new Error(`no turn of ${id} waits`);
  const output = { messages: [assistant(`${id}-a`)], pending: [], interrupt: null, usage: [], ...more };
  world.report(work, ok(output as Json));
}

/** What the agent of a run was given. */
const given = (world: World, id: string) =>
  world.work.find((work) => work.at.key.startsWith(`run_${id}~turn`))?.context.input as Record<string, Json>;

describe("runs of a session", () => {
  it("the first makes it; the same again changes nothing", () => {
    const world = new World();
    expect(world.ask(at, begin("a", { messages: [user("u1")] })).reply).toMatchObject({ outcome: "started" });
    const before = JSON.stringify(session(world));
    expect(world.ask(at, begin("a", { messages: [user("other")] })).reply).toMatchObject({ outcome: "existing" });
    expect(JSON.stringify(session(world))).toBe(before);
    turn(world, "a");
    expect(status(world, "a")).toBe("succeeded");
    expect(ids(world)).toEqual(["u1", "a-a"]);
    expect(session(world).usage.runs).toBe(1);
  });

  it("a second waits, and is given what the first has added", () => {
    const world = new World();
    world.ask(at, begin("a", { messages: [user("u1")] }));
    expect(world.ask(at, begin("b", { messages: [user("u1"), user("u2")] })).reply).toMatchObject({
      outcome: "queued",
    });
    expect(given(world, "b")).toBeUndefined();
    turn(world, "a");
    expect(status(world, "b")).toBe("running");
    expect((given(world, "b").messages as unknown as Message[]).map(({ id }) => id)).toEqual(["u1", "a-a", "u2"]);
  });

  it("a failure, too, lets the next begin", () => {
    const world = new World();
    world.ask(at, begin("a"));
    world.ask(at, begin("b"));
    world.report(world.take() as never, bad("no", false));
    expect([status(world, "a"), status(world, "b")]).toEqual(["failed", "running"]);
  });

  it("is refused at once where the session or, if that says nothing, the gateway wants it so", () => {
    const world = new World();
    world.ask(at, begin("a"));
    expect(world.ask(at, begin("b", { concurrency: "refuse" })).refused).toBe("conflict");
    expect(world.ask(at, begin("b", { concurrency: "serial" })).reply).toMatchObject({ outcome: "queued" });
    const other = new World();
    other.ask(at, { type: "session.create", threadId: "t", createdBy: "k", options: { concurrency: "serial" } });
    other.ask(at, begin("a"));
    expect(other.ask(at, begin("b", { concurrency: "refuse" })).reply).toMatchObject({ outcome: "queued" });
  });

  it("no more than a bounded number waits", () => {
    const world = new World();
    for (let i = 0; i <= queueMax; i++) expect(world.ask(at, begin(`r${i}`)).refused).toBeUndefined();
    expect(world.ask(at, begin("over")).refused).toBe("overloaded");
  });

  it("one that waits and is cancelled becomes a run that is cancelled; the others stay in order", () => {
    const world = new World();
    for (const id of ["a", "b", "c"]) world.ask(at, begin(id));
    world.ask(at, { type: "session.cancel_run", id: "b", reason: "not needed" });
    expect(status(world, "b")).toBe("canceled");
    expect(world.view("run/run_b")).toMatchObject({ status: "canceled" });
    expect(world.eventNames("run/run_b").at(-1)).toBe("canceled");
    expect(world.work.filter((work) => work.at.key.startsWith("run_b"))).toEqual([]);
    turn(world, "a");
    expect([status(world, "a"), status(world, "c")]).toEqual(["succeeded", "running"]);
  });
});

describe("an interrupt", () => {
  const asking = { interrupt: { toolCallId: "c1", tool: "pay", message: "Pay?", arguments: {} } };
  const answer = (interruptId: string, decision = "approve") => ({ resume: [{ interruptId, decision }] });

  it("waits for a resume that names it, and goes on in the same run", () => {
    const world = new World();
    world.ask(at, begin("a", { messages: [user("u1")] }));
    turn(world, "a", asking);
    expect(status(world, "a")).toBe("interrupted");
    expect(world.ask(at, begin("b")).refused).toBe("conflict");
    expect(world.ask(at, begin("b", answer("run_x:ask_1"))).refused).toBe("conflict");
    expect(world.ask(at, begin("b", answer("run_a:ask_1"))).reply).toEqual({ outcome: "resumed", run: "run_a" });
    expect([status(world, "a"), status(world, "b")]).toEqual(["succeeded", "running"]);
    expect(given(world, "a")).toMatchObject({ answer: { approved: true }, before: asking });
    turn(world, "a");
    expect(status(world, "b")).toBe("succeeded");
    expect(session(world).usage.runs).toBe(1);
  });

  it("decided by somebody else, the run goes on without a resume", () => {
    const world = new World();
    world.ask(at, begin("a"));
    turn(world, "a", asking);
    world.ask("run/run_a", { type: "run.decide", checkpointId: "ask_1", decision: "approve", by: "somebody" });
    expect(status(world, "a")).toBe("running");
    turn(world, "a");
    expect(status(world, "a")).toBe("succeeded");
  });

  it("nothing waits: a resume is refused", () => {
    const world = new World();
    expect(world.ask(at, begin("a", answer("run_a:ask_1"))).refused).toBe("conflict");
  });
});

describe("a call of the front end", () => {
  const pending = [{ toolCallId: "c1", name: "locate", arguments: "{}" }];
  const tool = { id: "r1", role: "tool", toolCallId: "c1", content: "Rome" };

  it("is a task that the client's next message answers", () => {
    const world = new World();
    world.ask(at, begin("a"));
    turn(world, "a", { pending });
    const [call] = session(world).pending;
    expect(call).toMatchObject({ toolCallId: "c1", name: "locate" });
    world.ask(at, begin("b", { messages: [tool] }));
    expect(session(world).pending).toEqual([]);
    expect(world.view(`task/${call?.task}`)).toMatchObject({ status: "completed", output: { content: "Rome" } });
  });

  it("done by somebody else, its answer joins the messages", () => {
    const world = new World();
    world.ask(at, begin("a"));
    turn(world, "a", { pending });
    const work = world.take(({ at: task }) => task.key === session(world).pending[0]?.task);
    world.report(work as never, ok({ content: "Paris" }));
    expect(session(world).pending).toEqual([]);
    expect(messages(world).at(-1)).toMatchObject({ role: "tool", toolCallId: "c1", content: "Paris" });
  });
});

describe("messages, state and tools", () => {
  it("a client's part of an assistant's message replaces nothing, its own messages do", () => {
    const world = new World();
    world.ask(at, begin("a", { messages: [user("u1", "before")] }));
    turn(world, "a");
    world.ask(at, begin("b", { messages: [user("u1", "after"), assistant("a-a", "a")] }));
    expect(messages(world)).toMatchObject([{ content: "after" }, { content: "a-a" }]);
  });

  it("the oldest leave, never what the system said first", () => {
    const world = new World();
    world.ask(at, { type: "session.create", threadId: "t", createdBy: "k", options: { messagesMax: 3 } });
    const system = { id: "s", role: "system", content: "be brief" };
    world.ask(at, begin("a", { messages: [system, user("u1"), user("u2"), user("u3")] }));
    expect(ids(world)).toEqual(["s", "u2", "u3"]);
  });

  it("a state is merged, a null removes; one that is the same is no change", () => {
    const world = new World();
    world.ask(at, begin("a", { state: { a: 1, b: 2 } }));
    world.ask(at, { type: "session.update_state", state: { b: null, c: 3 }, merge: true });
    expect(session(world).state).toEqual({ a: 1, c: 3 });
    const { stateVersion } = session(world);
    world.ask(at, { type: "session.update_state", state: { c: 3 }, merge: true });
    expect(session(world).stateVersion).toBe(stateVersion);
    const large = { type: "session.update_state", state: "x".repeat(300_000), merge: false };
    expect(world.ask(at, large).refused).toBe("too_large");
  });

  it("each tool is offered once: the run's own in place of the session's of that name", () => {
    const world = new World();
    world.ask(at, {
      type: "session.create",
      threadId: "t",
      createdBy: "k",
      tools: [{ name: "x", description: "old" }],
    });
    world.ask(at, begin("a", { tools: [{ name: "x", description: "new" }, { name: "y" }] }));
    expect(given(world, "a").tools).toEqual([{ name: "x", description: "new" }, { name: "y" }]);
    expect(session(world).tools).toEqual([{ name: "x", description: "old" }]);
  });
});

describe("the end", () => {
  it("by time: what runs and waits is cancelled, and nothing begins any more", () => {
    const world = new World();
    world.ask(at, { type: "session.create", threadId: "t", createdBy: "k", options: { expiresAt: 5_000 } });
    world.ask(at, begin("a"));
    world.ask(at, begin("b"));
    world.pass(10_000);
    expect(world.states.get(at)?.value).toBe("expired");
    expect([status(world, "a"), status(world, "b")]).toEqual(["canceled", "canceled"]);
    expect(world.view("run/run_a")).toMatchObject({ status: "canceled" });
    expect(world.ask(at, begin("c")).refused).toBe("conflict");
  });

  it("ended without its state; a reset forgets, and goes on", () => {
    const world = new World();
    world.ask(at, begin("a", { state: { a: 1 }, messages: [user("u1")] }));
    world.ask(at, { type: "session.reset" });
    expect(session(world)).toMatchObject({ state: null, size: 0 });
    expect([ids(world), status(world, "a")]).toEqual([[], "canceled"]);
    world.ask(at, begin("b", { state: { b: 1 } }));
    world.ask(at, { type: "session.end", saveState: false });
    expect([world.states.get(at)?.value, session(world).state]).toEqual(["ended", null]);
  });
});

/** What clients, agents and people do, in any order. */
const acts = fc.array(
  fc.record({
    act: fc.constantFrom(
      "begin",
      "begin",
      "begin",
      "turn",
      "turn",
      "turn",
      "ask",
      "call",
      "fail",
      "resume",
      "cancel",
      "again",
      "tool",
      "reset",
    ),
    pick: fc.nat(1_000),
  }),
  { maxLength: 60 },
);

describe("whatever happens", () => {
  const name =
    "one run at most is under way, what waits is in order, nothing begins twice, and a restore changes nothing";
  it(name, { timeout: 240_000 }, () => {
    fc.assert(
      fc.property(acts, fc.boolean(), (list, restored) => {
        const plain = play(list, () => false);
        if (restored) expect(play(list, () => true)).toBe(plain);
      }),
      { numRuns: 150 },
    );
  });
});

function play(list: readonly { act: string; pick: number }[], restore: () => boolean): string {
  const world = new World();
  world.restore = restore;
  const created = new Map<string, number>();
  world.onStep = (to, command) => {
    if (command.type === "run.create") created.set(to, (created.get(to) ?? 0) + 1);
  };
  let made = 0;
  const turnOf = (pick: number, outcome: unknown): void => {
    const works = world.work.filter(({ at: task }) => /~turn_/.test(task.key));
    const work = works[pick % Math.max(1, works.length)];
    if (work === undefined) return;
    world.take((one) => one === work);
    world.report(work, outcome);
  };
  const said = (more: object) =>
    ok({ messages: [assistant(`m${made}`)], pending: [], interrupt: null, usage: [], ...more } as Json);
  const interrupt = { toolCallId: "c", tool: "t", message: "?", arguments: {} };
  for (const { act, pick } of list) {
    const runs = world.states.has(at) ? session(world).runs : [];
    if (act === "begin") world.ask(at, begin(`r${++made}`, { messages: [user(`u${made}`)] }));
    else if (act === "turn") turnOf(pick, said({}));
    else if (act === "ask") turnOf(pick, said({ interrupt }));
    else if (act === "call") turnOf(pick, said({ pending: [{ toolCallId: `c${made}`, name: "f", arguments: "{}" }] }));
    else if (act === "fail") turnOf(pick, bad("no", false));
    else if (act === "reset" && pick % 5 === 0) world.ask(at, { type: "session.reset" });
    else if (act === "again" && runs.length > 0) again(world, runs[pick % runs.length]?.id as string);
    else if (act === "cancel" && runs.length > 0) {
      world.ask(at, { type: "session.cancel_run", id: runs[pick % runs.length]?.id as string });
    } else if (act === "tool" && runs.length > 0) {
      const toolCallId = session(world).pending[0]?.toolCallId ?? "none";
      world.ask(at, begin(`r${++made}`, { messages: [{ id: `t${made}`, role: "tool", toolCallId, content: "x" }] }));
    } else if (act === "resume") resume(world, `r${++made}`);
    check(world, created);
  }
  return JSON.stringify([...world.states]);
}

function again(world: World, id: string): void {
  const before = JSON.stringify(session(world));
  expect(world.ask(at, begin(id)).reply).toMatchObject({ outcome: "existing" });
  expect(JSON.stringify(session(world))).toBe(before);
}

function resume(world: World, id: string): void {
  if (!world.states.has(at)) return;
  const waiting = session(world).runs.find((run) => run.status === "interrupted");
  if (waiting === undefined) return;
  const open = (world.view(`run/${waiting.run}`).checkpoints as unknown as { checkpointId: string; status: string }[])
    .filter((one) => one.status === "required")
    .map(({ checkpointId }) => ({ interruptId: `${waiting.run}:${checkpointId}`, decision: "approve" }));
  world.ask(at, begin(id, { resume: open }));
}

/** What always holds. */
function check(world: World, created: ReadonlyMap<string, number>): void {
  if (!world.states.has(at)) return;
  const context = session(world);
  const { runs, queue } = context;
  expect(runs.filter(({ status: s }) => s === "running" || s === "interrupted").length).toBeLessThanOrEqual(1);
  expect(runs.filter(({ status: s }) => s === "queued").map(({ id }) => id)).toEqual(queue.map(({ id }) => id));
  // Nothing waits while nothing is under way.
  if (queue.length > 0) expect(runs.some(({ status: s }) => s === "running" || s === "interrupted")).toBe(true);
  const known = pagedItems(context.messages);
  expect(new Set(known.map(({ id }) => id)).size).toBe(known.length);
  expect(context.size).toBe(known.reduce((sum, message) => sum + jsonSize(message as Json), 0));
  expect([...created.values()].every((count) => count === 1)).toBe(true);
  for (const run of runs) {
    const under = world.states.get(`run/${run.run}`);
    if (run.status === "canceled" || run.status === "failed") expect(under).toBeDefined();
  }
}
