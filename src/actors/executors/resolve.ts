/**
 * Executor of kind `resolve`: evaluates a stage's expressions where the run's machine cannot,
 * because they look into values that are kept outside, or give large ones, and checks a run's
 * output against its workflow's schema. Owns loading and offloading around that; what expressions
 * mean is the machine's.
 */
import { newJsonSchemas, UnusableSchema } from "../../json-schema.ts";
import { type Address, formatAddress, rootOf } from "../../machines/address.ts";
import type { Command, Json, JsonObject } from "../../machines/effects.ts";
import { type Resolution, resolveStage } from "../../machines/run/resolve.ts";
import type { RunContext } from "../../machines/run/schema.ts";
import { scopeOf } from "../../machines/run/scope.ts";
import type { Failure } from "../../machines/schema.ts";
import type { BlobRef } from "../client.ts";
import { asRef, refInto } from "../refs.ts";
import { thresholdBytesDefault } from "../values.ts";
import type { Executor, Work } from "../work.ts";
import type { ExecutorPort } from "./port.ts";
import { type Ticket, WaitingQueue } from "./queue.ts";
import { deliver, persist } from "./retry.ts";

/** Each may hold a whole document in memory. */
const atOnceMax = 8;
/** Strings up to this are handed to expressions themselves when their list is taken apart. */
const inlineCharsMax = 1_024;
const errorCharsMax = 4_000;

interface Job {
  readonly key: string;
  readonly work: Work;
  readonly controller: AbortController;
  ticket: Ticket<Job> | undefined;
}

export class ResolveExecutor implements Executor {
  readonly kind = "resolve";
  readonly #port: ExecutorPort;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting = new WaitingQueue<Job>();
  readonly #schemas = newJsonSchemas();
  #running = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(port: ExecutorPort) {
    this.#port = port;
  }

  start(work: Work): void {
    const key = jobKey(work.address, work.id);
    if (this.#jobs.has(key)) return;
    const job: Job = { key, work, controller: new AbortController(), ticket: undefined };
    this.#jobs.set(key, job);
    job.ticket = this.#waiting.push(job, 5);
    this.#next();
  }

  holds(address: Address, id: string): "running" | "waiting" | undefined {
    const job = this.#jobs.get(jobKey(address, id));
    if (job === undefined) return undefined;
    return job.ticket === undefined ? "running" : "waiting";
  }

  abort(address: Address, id: string, reason: string): void {
    const job = this.#jobs.get(jobKey(address, id));
    if (job === undefined) return;
    job.controller.abort(new Error(reason));
    if (job.ticket !== undefined && this.#waiting.remove(job.ticket)) this.#forget(job);
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const job of [...this.#jobs.values()]) {
      if (job.ticket !== undefined && this.#waiting.remove(job.ticket)) this.#forget(job);
    }
    if (this.#jobs.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = this.#port.clock.after(graceMs, () => {
      for (const job of this.#jobs.values()) job.controller.abort(new Error("the node stops"));
    });
    await idle;
    timer.cancel();
  }

  #next(): void {
    while (this.#running < atOnceMax && !this.#draining) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      job.ticket = undefined;
      this.#running++;
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    const { signal } = job.controller;
    const { address, spec } = job.work;
    const stage = String(spec.stage);
    let command: Command = { type: "run.resolve", stage };
    try {
      command = { ...command, ...(await this.#resolve(job.work, stage, signal)) };
    } catch (error) {
      this.#port.logger.error({ run: address.key, stage, err: error }, "a stage's expressions could not be resolved");
      const message = error instanceof Error ? error.message : String(error);
      command = { ...command, ok: false, error: message.slice(0, errorCharsMax) };
    }
    const delivery = await deliver(this.#port, address, command, signal);
    if (delivery.kind === "refused") {
      const error = `the result was refused: ${delivery.error.message}`.slice(0, errorCharsMax);
      await deliver(this.#port, address, { type: "run.resolve", stage, ok: false, error }, signal);
    }
    this.#running--;
    this.#forget(job);
    if (this.#waiting.size > 0) this.#port.clock.after(0, () => this.#next());
  }

  async #resolve(work: Work, stage: string, signal: AbortSignal): Promise<JsonObject> {
    const context = work.context as unknown as RunContext;
    const root = rootOf(work.address.key);
    const scope = scopeOf(context, stage);
    // First with lists and maps taken apart: their large items stay where they are, as references.
    const apart = (await persist(this.#port, signal, () => this.#takeApart(scope))) as JsonObject;
    let resolution = resolveStage(context, stage, apart);
    if (!resolution.ok) {
      // Either an expression looks deeper, or it is wrong: with everything loaded it shows.
      const whole = (await persist(this.#port, signal, () => this.#port.values.load(scope))) as JsonObject;
      resolution = resolveStage(context, stage, whole);
    }
    return persist(this.#port, signal, () => this.#outcome(root, context, stage, resolution));
  }

  /** Every reference to a list or map becomes that list or map, with references for its large items. */
  async #takeApart(value: Json): Promise<Json> {
    if (typeof value !== "object" || value === null) return value;
    const ref = asRef(value);
    if (ref !== null) return apart(ref, await this.#port.values.load(value));
    if (Array.isArray(value)) return Promise.all(value.map((item) => this.#takeApart(item)));
    const entries = Object.entries(value).filter((entry): entry is [string, Json] => entry[1] !== undefined);
    return Object.fromEntries(
      await Promise.all(entries.map(async ([key, item]) => [key, await this.#takeApart(item)] as const)),
    );
  }

  /** The fields of `run.resolve`, with what is large offloaded. */
  async #outcome(root: string, context: RunContext, stage: string, resolution: Resolution): Promise<JsonObject> {
    if (!resolution.ok || "skip" in resolution) return resolution;
    const offload = (value: Json) => this.#port.values.offload(root, value, thresholdBytesDefault, "keep");
    if ("output" in resolution) {
      const error = await this.#misfit(context, resolution.output);
      return error === null ? { ok: true, output: await offload(resolution.output) } : { ok: false, error };
    }
    if ("input" in resolution) {
      // A checkpoint's instructions are read by people; the machine bounds them.
      const shown = context.definition.stages.some((s) => s.name === stage && s.kind === "checkpoint");
      return { ok: true, input: shown ? resolution.input : await offload(resolution.input) };
    }
    const items = await offload(resolution.items);
    if (asRef(items) === null) return { ok: true, items };
    return { ok: true, itemsRef: items, count: resolution.items.length };
  }

  /** Where the run's output departs from its workflow's `output_schema`. */
  async #misfit(context: RunContext, output: Json): Promise<(Failure & JsonObject) | null> {
    const schema = context.definition.output_schema;
    if (schema === undefined) return null;
    const code = "invalid_output";
    try {
      const problems = this.#schemas.problems(schema, await this.#port.values.load(output), "output");
      if (problems.length === 0) return null;
      const text = problems.map(({ path, message }) => `${path} ${message}`).join("; ");
      const message = `the output does not fit the workflow's output_schema: ${text}`.slice(0, errorCharsMax);
      return { code, message, details: { problems: problems.map((one) => ({ ...one })) } };
    } catch (error) {
      if (!(error instanceof UnusableSchema)) throw error;
      return { code, message: `output_schema ${error.message}`.slice(0, errorCharsMax) };
    }
  }

  #forget(job: Job): void {
    if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
    if (this.#jobs.size === 0) this.#onIdle?.();
  }
}

function jobKey(address: Address, id: string): string {
  return `${formatAddress(address)}#${id}`;
}

function apart(ref: BlobRef, value: Json): Json {
  const part = (key: string | number, item: Json): Json => {
    const large = typeof item === "string" ? item.length > inlineCharsMax : typeof item === "object" && item !== null;
    return large ? (refInto(ref, key) as unknown as Json) : item;
  };
  if (Array.isArray(value)) return value.map((item, i) => part(i, item));
  if (typeof value !== "object" || value === null) return ref as unknown as Json;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, part(key, item ?? null)]));
}
