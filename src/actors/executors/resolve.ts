/**
 * Executor of kind `resolve`: evaluates a stage's expressions where the run's machine cannot,
 * because they look into values that are kept outside, or give large ones, and checks a run's
 * output against its workflow's schema. Owns loading and offloading around that; what expressions
 * mean is the machine's.
 */
import { newJsonSchemas, UnusableSchema } from "../../json-schema.ts";
import { type Address, rootOf } from "../../machines/address.ts";
import type { Command, Json, JsonObject } from "../../machines/effects.ts";
import { type Resolution, resolveStage } from "../../machines/run/resolve.ts";
import type { RunContext } from "../../machines/run/schema.ts";
import { scopeOf } from "../../machines/run/scope.ts";
import type { Failure } from "../../machines/schema.ts";
import type { BlobRef } from "../client.ts";
import { asRef, refInto } from "../refs.ts";
import { thresholdBytesDefault } from "../values.ts";
import type { Executor, Work } from "../work.ts";
import { Jobs } from "./jobs.ts";
import type { ExecutorPort } from "./port.ts";
import { deliver, persist } from "./retry.ts";

/** Each may hold a whole document in memory. */
const atOnceMax = 8;
/** Strings up to this are handed to expressions themselves when their list is taken apart. */
const inlineCharsMax = 1_024;
const errorCharsMax = 4_000;

export class ResolveExecutor implements Executor {
  readonly kind = "resolve";
  readonly #port: ExecutorPort;
  readonly #jobs: Jobs;
  readonly #schemas = newJsonSchemas();

  constructor(port: ExecutorPort) {
    this.#port = port;
    this.#jobs = new Jobs({
      clock: port.clock,
      atOnceMax,
      perform: (work, signal) => this.#perform(work, signal),
    });
  }

  start(work: Work): void {
    this.#jobs.start(work);
  }

  holds(address: Address, id: string): "running" | "waiting" | undefined {
    return this.#jobs.holds(address, id);
  }

  abort(address: Address, id: string, reason: string): void {
    this.#jobs.abort(address, id, reason);
  }

  drain(graceMs: number): Promise<void> {
    return this.#jobs.drain(graceMs);
  }

  async #perform(work: Work, signal: AbortSignal): Promise<void> {
    const { address, spec } = work;
    const stage = String(spec.stage);
    let command: Command = { type: "run.resolve", stage };
    try {
      command = { ...command, ...(await this.#resolve(work, stage, signal)) };
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
