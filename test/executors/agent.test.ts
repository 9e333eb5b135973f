import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type AgentContext, defineAgent, TaskError } from "../../src/actors/agent.ts";
import type { BlobRef } from "../../src/actors/client.ts";
import { AgentExecutor } from "../../src/actors/executors/agent.ts";
import { BusError } from "../../src/bus/bus.ts";
import type { Json } from "../../src/machines/effects.ts";
import { type ErrorCode, TroupeError } from "../../src/machines/errors.ts";
import { fakePort, outcomes, settle, work } from "./fakes.ts";

type Run = (ctx: AgentContext, input: Json) => Promise<Json> | Json;

function hosting(run: Run, answer?: Parameters<typeof fakePort>[0], concurrency = 1) {
  const fake = fakePort(answer);
  const executor = new AgentExecutor(fake.port);
  executor.host(defineAgent({ type: "t", concurrency, run }));
  return { ...fake, executor };
}

/** A promise and its handles. */
function gate<T = void>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("an attempt", () => {
  it("that is over at once tells start and outcome in one report", async () => {
    const { executor, said } = hosting((_, input) => ({ got: input }));
    executor.start(work({ input: { a: 1 } }));
    await settle();
    expect(said.map((s) => s.command)).toEqual([
      {
        type: "task.report",
        attempt: 1,
        start: { agent: "t-n1", node: "n1" },
        outcome: {
          ok: true,
          output: { got: { a: 1 } },
          artifacts: [],
          cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
        },
      },
    ]);
    expect(said[0]?.to).toEqual({ type: "task", key: "r1~a" });
  });

  it("runs without waiting for the start's commit, and reports only after it", async () => {
    const committed = gate();
    const over = gate();
    let ran = false;
    const { executor, types } = hosting(
      async () => {
        ran = true;
        await over.promise;
        return 1;
      },
      ({ command }) => (command.type === "task.start" ? committed.promise : undefined),
    );
    executor.start(work());
    await settle();
    over.resolve();
    await settle();
    expect(ran).toBe(true);
    expect(types()).toEqual(["task.start"]);
    committed.resolve();
    await settle();
    expect(types()).toEqual(["task.start", "task.report"]);
  });

  it("is reported whenever it ends, to the microtask", async () => {
    const turns = async (count: number) => {
      for (let i = 0; i < count; i++) await null;
    };
    for (let run = 0; run < 25; run++) {
      for (let commit = 0; commit < 25; commit++) {
        const { executor, types } = hosting(
          async () => {
            await turns(run);
            return 1;
          },
          () => turns(commit),
        );
        executor.start(work());
        for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
        expect(types().at(-1), `run ${run}, commit ${commit}`).toBe("task.report");
        expect(types().length).toBeLessThanOrEqual(2);
      }
    }
  });

  it("tells its context who it is", async () => {
    let seen: unknown;
    const { executor } = hosting((ctx) => {
      seen = [ctx.attempt, ctx.idempotencyKey, ctx.taskId, ctx.runId];
      return null;
    });
    executor.start(work({ attempt: 3 }));
    await settle();
    expect(seen).toEqual([3, "r1~a", "r1~a", "r1"]);
  });

  it("loads a large input and offloads a large output", async () => {
    const { executor, port, said } = hosting((_, input) => (input as string).toUpperCase());
    executor.start(work({ input: await port.values.offload("r1", "x".repeat(100_000)) }));
    await settle();
    const output = outcomes(said)[0]?.output as unknown as BlobRef;
    expect(output.$blob.name).toMatch(/^r1\//);
    expect(await port.values.load(output as unknown as Json)).toBe("X".repeat(100_000));
  });

  it("minds the task's own bound for the output", async () => {
    const { executor, said } = hosting(() => "x".repeat(2_000));
    executor.start(work({ outputBytesMax: 1_000 }));
    await settle();
    expect(outcomes(said)[0]?.output).toHaveProperty("$blob");
  });

  it("does not let an output name somebody's blob", async () => {
    const { executor, said } = hosting(() => ({ $blob: { name: "other/secret", bytes: 1, sha256: "" } }));
    executor.start(work());
    await settle();
    expect(outcomes(said)[0]).toMatchObject({ ok: false, error: { code: "invalid_output" } });
  });

  it("waits for a store that is away instead of failing", async () => {
    const { executor, blobs, clock, said } = hosting(() => "x".repeat(100_000));
    blobs.failures.push(new BusError("unreachable", "gone"), new BusError("unreachable", "gone"));
    executor.start(work());
    await settle();
    expect(outcomes(said)).toEqual([]);
    await clock.step(200);
    expect(outcomes(said)[0]).toMatchObject({ ok: true });
  });
});

describe("checking", () => {
  const strict = { input: z.object({ n: z.number() }), output: z.object({ n: z.number() }) };
  function checked(run: (ctx: AgentContext, input: { n: number }) => { n: number }) {
    const fake = fakePort();
    const executor = new AgentExecutor(fake.port);
    executor.host(defineAgent({ type: "t", ...strict, run }));
    return { ...fake, executor };
  }

  it("a wrong input fails without retry and names the place", async () => {
    const { executor, said } = checked((_, input) => input);
    executor.start(work({ input: { n: "1" } }));
    await settle();
    const error = { code: "invalid_input", retryable: false, message: expect.stringContaining("n: ") };
    expect(outcomes(said)[0]).toMatchObject({ ok: false, error });
  });

  it("a wrong output fails the attempt", async () => {
    const { executor, said } = checked(() => ({ n: "x" }) as unknown as { n: number });
    executor.start(work({ input: { n: 1 } }));
    await settle();
    expect(outcomes(said)[0]).toMatchObject({ ok: false, error: { code: "invalid_output", retryable: true } });
  });

  it.each([
    [new TaskError("no", { code: "nope", retryable: false }), { code: "nope", message: "no", retryable: false }],
    [new Error("boom"), { code: "agent_failed", message: "boom", retryable: true }],
    ["text", { code: "agent_failed", message: "text", retryable: true }],
    [new TroupeError("not_found", "gone"), { code: "not_found", message: "gone", retryable: false }],
  ])("thrown: %s", async (thrown, error) => {
    const { executor, said, lines } = hosting(() => {
      throw thrown;
    });
    executor.start(work());
    await settle();
    expect(outcomes(said)[0]).toEqual({
      ok: false,
      error,
      cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
    });
    expect(lines.some((l) => l.level === "warn" && l.fields.err === thrown && l.fields.task === "r1~a")).toBe(true);
  });
});

describe("what an attempt leaves", () => {
  it("artifacts have the same ids in every attempt, and their bytes' digest", async () => {
    const run: Run = async (ctx) => {
      const [a, b] = await Promise.all([
        ctx.artifact({ type: "file", name: "a.txt", mimeType: "text/plain", bytes: Buffer.from("hello") }),
        ctx.artifact({ type: "record", name: "b", data: { big: "x".repeat(70_000) } }),
      ]);
      return [a.artifactId, b.artifactId];
    };
    const { executor, said, clock } = hosting(run);
    executor.start(work({ attempt: 1 }));
    await settle();
    executor.start(work({ attempt: 2 }));
    await settle();
    const [one, two] = outcomes(said);
    expect(one?.output).toEqual(["r1~a~a~1", "r1~a~a~2"]);
    expect(two?.artifacts).toEqual(one?.artifacts);
    const artifacts = one?.artifacts;
    const [file, record] = (artifacts ?? []) as unknown as { [key: string]: Json }[];
    const sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    expect(file).toMatchObject({ type: "file", name: "a.txt", mimeType: "text/plain", bytes: 5, sha256 });
    expect(file).toMatchObject({ createdAt: clock.now(), blob: { $blob: { sha256 } } });
    expect(record).toMatchObject({ type: "record", mimeType: "application/json", data: { big: { $blob: {} } } });
  });

  it("refuses names that are paths", async () => {
    const { executor, said } = hosting(async (ctx) => {
      await ctx.artifact({ type: "record", name: "../x", data: 1 });
      return 1;
    });
    executor.start(work());
    await settle();
    expect(outcomes(said)[0]).toMatchObject({ ok: false, error: { code: "invalid_artifact", retryable: false } });
  });

  it("cost is added up, and kept when the attempt fails", async () => {
    const { executor, said } = hosting((ctx) => {
      ctx.cost({ promptTokens: 3, usd: 0.5 });
      ctx.cost({ promptTokens: 4, completionTokens: 1 });
      throw new Error("late");
    });
    executor.start(work());
    await settle();
    expect(outcomes(said)[0]).toMatchObject({ ok: false, cost: { promptTokens: 7, completionTokens: 1, usd: 0.5 } });
  });

  it("events are notes in order; the task's own names are refused", async () => {
    const { executor, said } = hosting((ctx) => {
      ctx.event("tool_called", { a: 1 });
      ctx.event("tool_answered", { a: 2 });
      ctx.event("completed", {});
      return 1;
    });
    executor.start(work());
    await settle();
    expect(said.map((s) => s.command.name ?? s.command.type)).toEqual([
      "task.start",
      "tool_called",
      "tool_answered",
      "task.report",
    ]);
    expect(outcomes(said)[0]).toMatchObject({ ok: false, error: { code: "invalid_event", retryable: false } });
  });
});

describe("progress", () => {
  it("is coalesced: one under way, the latest wins, at most every 250 ms", async () => {
    const end = gate();
    const { executor, said, clock } = hosting(async (ctx) => {
      for (let i = 1; i <= 100; i++) {
        ctx.progress(i / 100, `step ${i}`);
        await ctx.sleep(10);
      }
      await end.promise;
      return 1;
    });
    executor.start(work());
    await clock.step(1_000);
    const sent = said.filter((s) => s.command.type === "task.progress").map((s) => s.command.fraction as number);
    expect(sent.length).toBeGreaterThanOrEqual(4);
    expect(sent.length).toBeLessThanOrEqual(5);
    expect(sent).toEqual([...sent].sort((a, b) => a - b));
    await clock.step(300);
    expect(said.at(-1)?.command).toMatchObject({ type: "task.progress", fraction: 1, message: "step 100" });
    end.resolve();
    await settle();
    expect(said.at(-1)?.command.type).toBe("task.report");
    expect(clock.timers).toBe(0);
  });

  it("a lost progress does not hold up the report", async () => {
    const { executor, types } = hosting(
      async (ctx) => {
        ctx.progress(0.5);
        return 1;
      },
      ({ command }) => {
        if (command.type === "task.progress") throw new TroupeError("overloaded", "full");
      },
    );
    executor.start(work());
    await settle();
    expect(types().at(-1)).toBe("task.report");
  });
});

describe("a report", () => {
  const passing: ErrorCode[] = ["moved", "unavailable", "timed_out", "overloaded", "storage_full"];
  it.each(passing)("is sent again after %s until it is taken", async (code) => {
    let left = 12;
    const { executor, types, clock } = hosting(
      () => 1,
      ({ command }) => {
        if (command.type === "task.report" && left-- > 0) throw new TroupeError(code, "not now");
      },
    );
    executor.start(work());
    await clock.step(60_000);
    expect(types().filter((t) => t === "task.report").length).toBe(13);
  });

  it.each(["conflict", "not_found"] as const)("%s means that it is settled", async (code) => {
    const { executor, types, clock } = hosting(
      () => 1,
      ({ command }) => {
        if (command.type === "task.report") throw new TroupeError(code, "over");
      },
    );
    executor.start(work());
    await clock.step(10_000);
    expect(types()).toEqual(["task.report"]);
    await executor.drain(0);
  });

  it("that is refused for its content becomes a failure, so that the task does not hang", async () => {
    const { executor, said } = hosting(
      () => 1,
      ({ command }) => {
        if ((command.outcome as { ok?: boolean } | undefined)?.ok) throw new TroupeError("too_large", "too much");
      },
    );
    executor.start(work());
    await settle();
    expect(outcomes(said).at(-1)).toMatchObject({ ok: false, error: { code: "report_refused", retryable: false } });
  });

  it("stops being sent when the work is aborted", async () => {
    const { executor, types, clock } = hosting(
      () => 1,
      ({ command }) => {
        if (command.type === "task.report") throw new TroupeError("moved", "elsewhere");
      },
    );
    executor.start(work());
    await clock.step(100);
    executor.abort({ type: "task", key: "r1~a" }, "attempt-1", "partition lost");
    const before = types().length;
    await clock.step(60_000);
    expect(types().length).toBe(before);
    expect(clock.timers).toBe(0);
  });
});

describe("abort", () => {
  it("aborts the signal with the reason and reports nothing", async () => {
    let reason: unknown;
    const { executor, types } = hosting(async (ctx) => {
      await ctx.sleep(1_000_000).catch((error: unknown) => {
        reason = error;
        throw error;
      });
      return 1;
    });
    executor.start(work());
    await settle();
    executor.abort({ type: "task", key: "r1~a" }, "attempt-1", "cancelled");
    await settle();
    expect(reason).toMatchObject({ name: "AbortError", message: "cancelled" });
    expect(types()).toEqual(["task.start"]);
    expect(executor.stats()).toEqual([{ type: "t", running: 0, waiting: 0, concurrency: 1 }]);
  });

  it("of unknown work does nothing; of waiting work takes it out", async () => {
    const open = gate();
    const ran: string[] = [];
    const { executor } = hosting(async (ctx) => {
      ran.push(ctx.taskId);
      await open.promise;
      return 1;
    });
    executor.abort({ type: "task", key: "none" }, "x", "");
    for (const key of ["r~1", "r~2", "r~3"]) executor.start(work({ key }));
    executor.abort({ type: "task", key: "r~2" }, "attempt-1", "cancelled");
    open.resolve();
    await settle();
    expect(ran).toEqual(["r~1", "r~3"]);
  });

  it("a function that ignores its signal keeps its slot until it returns", async () => {
    const open = gate();
    const { executor, types } = hosting(async () => {
      await open.promise;
      return 1;
    });
    executor.start(work({ key: "r~1" }));
    executor.start(work({ key: "r~2" }));
    await settle();
    executor.abort({ type: "task", key: "r~1" }, "attempt-1", "timed out");
    await settle();
    expect(executor.stats()[0]).toMatchObject({ running: 1, waiting: 1 });
    open.resolve();
    await settle();
    expect(types().filter((t) => t === "task.report")).toHaveLength(1);
    expect(types().filter((t) => t === "task.start").length).toBeLessThanOrEqual(2);
  });

  it("an attempt that its task calls out of date is stopped", async () => {
    let aborted = false;
    const { executor, types } = hosting(
      async (ctx) => {
        await ctx.sleep(1_000).catch(() => {
          aborted = true;
        });
        return 1;
      },
      () => {
        throw new TroupeError("conflict", "attempt 2 is current", { attempt: 2 });
      },
    );
    executor.start(work());
    await settle();
    expect(aborted).toBe(true);
    expect(types()).toEqual(["task.start"]);
  });

  it("a start that was stored although its answer was lost does not stop the attempt", async () => {
    let starts = 0;
    const { executor, said, clock } = hosting(
      async (ctx) => {
        await ctx.sleep(1_000);
        return "done";
      },
      ({ command }) => {
        if (command.type !== "task.start") return;
        throw ++starts === 1 ? new TroupeError("timed_out", "no answer") : new TroupeError("conflict", "is running");
      },
    );
    executor.start(work());
    await clock.step(2_000);
    expect(starts).toBe(2);
    expect(outcomes(said)).toMatchObject([{ ok: true, output: "done" }]);
  });

  it("the same work may come again after an abort", async () => {
    const first = gate();
    let runs = 0;
    const { executor, said } = hosting(
      async () => {
        if (++runs === 1) await first.promise;
        return runs;
      },
      undefined,
      2,
    );
    executor.start(work());
    await settle();
    executor.abort({ type: "task", key: "r1~a" }, "attempt-1", "partition lost");
    executor.start(work());
    first.resolve();
    await settle();
    expect(outcomes(said)).toHaveLength(1);
  });
});

describe("slots and order", () => {
  it("never more at once than the concurrency; priority first, then arrival", async () => {
    let now = 0;
    let most = 0;
    const order: string[] = [];
    const { executor } = hosting(
      async (ctx) => {
        order.push(ctx.taskId);
        most = Math.max(most, ++now);
        await settle();
        now--;
        return 1;
      },
      undefined,
      2,
    );
    const priorities = [5, 5, 1, 5, 10, 1, 10];
    priorities.forEach((priority, i) => {
      executor.start(work({ key: `r~${i}`, priority }));
    });
    expect(executor.stats()).toEqual([{ type: "t", running: 2, waiting: 5, concurrency: 2 }]);
    await until(() => order.length === 7);
    expect(most).toBe(2);
    expect(order).toEqual(["r~0", "r~1", "r~4", "r~6", "r~3", "r~2", "r~5"]);
  });

  it("the same work given twice runs once", async () => {
    let runs = 0;
    const { executor } = hosting(() => ++runs, undefined, 5);
    executor.start(work());
    executor.start(work());
    await settle();
    expect(runs).toBe(1);
  });

  it("100,000 waiting do not slow the next", async () => {
    let runs = 0;
    const { executor } = hosting(() => ++runs, undefined, 10);
    const began = performance.now();
    for (let i = 0; i < 100_000; i++) executor.start(work({ key: `r~${i}`, priority: 1 + (i % 10) }));
    await until(() => runs === 100_000, 20_000);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it("chooses by type, then capabilities; `any` takes the least busy that offers all", async () => {
    const fake = fakePort();
    const executor = new AgentExecutor(fake.port);
    const ran: string[] = [];
    const hold = gate();
    const agent = (type: string, capabilities: string[]) =>
      defineAgent({
        type,
        capabilities,
        run: async (ctx) => {
          ran.push(`${type} ${ctx.taskId}`);
          await hold.promise;
          return 1;
        },
      });
    executor.host(agent("one", ["x"]));
    executor.host(agent("two", ["x", "y"]));
    executor.start(work({ key: "a", taskType: "one" }));
    executor.start(work({ key: "b", taskType: "any", capabilities: ["x"] }));
    executor.start(work({ key: "c", taskType: "one", capabilities: ["y"] }));
    executor.start(work({ key: "d", taskType: "any", capabilities: ["z"] }));
    await settle();
    expect(ran).toEqual(["one a", "two b"]);
    expect(executor.stats().slice(2)).toEqual([
      { type: "one", running: 0, waiting: 1, concurrency: 0 },
      { type: "z", running: 0, waiting: 1, concurrency: 0 },
    ]);
    hold.resolve();
  });

  it("work that nobody hosts starts when somebody does", async () => {
    const fake = fakePort();
    const executor = new AgentExecutor(fake.port);
    executor.start(work());
    await settle();
    expect(fake.said).toEqual([]);
    expect(executor.stats()).toEqual([{ type: "t", running: 0, waiting: 1, concurrency: 0 }]);
    executor.host(defineAgent({ type: "t", run: () => 1 }));
    await settle();
    expect(fake.types()).toEqual(["task.report"]);
    expect(() => executor.host(defineAgent({ type: "t", run: () => 1 }))).toThrow(/hosted already/);
  });
});

describe("drain", () => {
  it("lets what runs finish, starts nothing more", async () => {
    const { executor, said, clock } = hosting(async (ctx) => {
      await ctx.sleep(500);
      return 1;
    });
    executor.start(work({ key: "r~1" }));
    executor.start(work({ key: "r~2" }));
    await settle();
    const drained = executor.drain(1_000);
    await clock.step(600);
    await drained;
    expect(said.map((s) => [s.to.key, s.command.type])).toEqual([
      ["r~1", "task.start"],
      ["r~1", "task.report"],
    ]);
    expect(clock.timers).toBe(0);
  });

  it("aborts after the grace, without a report", async () => {
    let reason = "";
    const { executor, types, clock } = hosting(async (ctx) => {
      await ctx.sleep(60_000).catch((error: Error) => {
        reason = error.message;
      });
      return 1;
    });
    executor.start(work());
    await settle();
    const drained = executor.drain(1_000);
    await clock.step(1_000);
    await drained;
    expect(reason).toBe("the node stops");
    expect(types()).toEqual(["task.start"]);
  });
});

async function until(condition: () => boolean, ms = 5_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error("waited too long");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
