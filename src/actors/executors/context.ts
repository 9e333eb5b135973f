/**
 * Owns what an agent's function is given (AgentContext) and what it leaves behind with it:
 * artifacts and cost. Runs nothing and reports nothing itself.
 */
import { type Address, localOf, rootOf } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { type AgentContext, type ArtifactInput, TaskError } from "../agent.ts";
import type { BlobRef } from "../client.ts";
import { assertNoRefs } from "../refs.ts";
import type { ExecutorPort, Logger } from "./port.ts";
import type { Reporter } from "./reporter.ts";
import { persist } from "./retry.ts";

export const artifactsMax = 256;
export const eventBytesMax = 16_384;
const messageCharsMax = 500;
const nameCharsMax = 255;

/** Names of the task's own events; an agent may not pretend them. */
const reservedEvents = new Set(
  "created ready assigned started progressed attempt_failed completed failed cancelled timed_out lost".split(" "),
);

/** As a task reports it; see the machines' `artifactEntrySchema`. */
export interface ArtifactEntry {
  readonly artifactId: string;
  readonly type: "file" | "record" | "message";
  readonly name: string;
  readonly mimeType: string;
  readonly createdAt: number;
  readonly data?: Json;
  readonly blob?: BlobRef;
  readonly bytes?: number;
  readonly sha256?: string;
}

export interface AttemptFacts {
  readonly address: Address;
  readonly attempt: number;
  readonly agentType: string;
  readonly runId: string | undefined;
  /** What an earlier attempt saved; may hold references to large values. */
  readonly saved?: Json;
}

/** What a function has left with its context so far. */
export interface Leavings {
  readonly artifacts: ArtifactEntry[];
  readonly cost: { promptTokens: number; completionTokens: number; usd: number };
}

/** `outputBytesMax`: what is over it in a record's data goes to a blob. */
export function agentContext(
  port: ExecutorPort,
  facts: AttemptFacts,
  reporter: Reporter,
  signal: AbortSignal,
  outputBytesMax: number,
  saved: Json = null,
): { context: AgentContext; leavings: Leavings } {
  const leavings: Leavings = { artifacts: [], cost: { promptTokens: 0, completionTokens: 0, usd: 0 } };
  const keeper = artifactKeeper(port, facts, signal, outputBytesMax, leavings.artifacts);
  const ids = logFields(facts);
  const context: AgentContext = {
    signal,
    attempt: facts.attempt,
    idempotencyKey: facts.address.key,
    taskId: facts.address.key,
    runId: facts.runId,
    progress(fraction, message) {
      if (!Number.isFinite(fraction))
        throw new TaskError("progress takes a fraction from 0 to 1", { retryable: false });
      reporter.progress(Math.min(1, Math.max(0, fraction)), message?.slice(0, messageCharsMax));
    },
    log: (message, fields) => logLine(port.logger, ids, message, fields),
    artifact: keeper,
    event: (name, data) => addEvent(reporter, name, data),
    cost: (cost) => addCost(leavings.cost, cost),
    saved,
    save: (value, event) => saveValue(port, facts, reporter, signal, value, event),
    live: (name, data) => port.announce(facts.address, facts.agentType, name, data),
    sleep: (ms) => abortableSleep(port, ms, signal),
  };
  return { context, leavings };
}

/** The ids that every line about an attempt carries. */
export function logFields(facts: AttemptFacts): Record<string, unknown> {
  return { task: facts.address.key, run: facts.runId, attempt: facts.attempt, agent: facts.agentType };
}

function logLine(
  logger: Logger,
  ids: Record<string, unknown>,
  message: string,
  fields?: Record<string, unknown>,
): void {
  logger.info({ ...fields, ...ids }, message);
}

function artifactKeeper(
  port: ExecutorPort,
  facts: AttemptFacts,
  signal: AbortSignal,
  outputBytesMax: number,
  entries: ArtifactEntry[],
): AgentContext["artifact"] {
  const root = rootOf(facts.address.key);
  const local = localOf(facts.address.key);
  let count = 0;
  // The number is taken before the first wait: the same calls give the same ids in every attempt.
  return async (artifact) => {
    signal.throwIfAborted();
    checkArtifact(artifact);
    const no = ++count;
    if (no > artifactsMax)
      throw new TaskError(`an attempt keeps at most ${artifactsMax} artifacts`, { retryable: false });
    const artifactId = local === "" ? `${root}~a~${no}` : `${root}~a~${local}~${no}`;
    const common = { artifactId, type: artifact.type, name: artifact.name, createdAt: port.clock.now() };
    if (artifact.type === "file") {
      const { bytes } = artifact;
      const blob = await persist(port, signal, () => port.values.putBytes(root, bytes));
      const { sha256 } = blob.$blob;
      entries.push({ ...common, mimeType: artifact.mimeType, blob, bytes: bytes.length, sha256 });
    } else {
      const { data } = artifact;
      const kept = await persist(port, signal, () => port.values.offload(root, data, outputBytesMax));
      entries.push({ ...common, mimeType: "application/json", data: kept });
    }
    return { artifactId };
  };
}

function checkArtifact(artifact: ArtifactInput): void {
  const { name } = artifact;
  if (name.length === 0 || name.length > nameCharsMax || /[\p{Cc}/\\]/u.test(name)) {
    const message = `an artifact's name has 1 to ${nameCharsMax} characters, without slashes and control characters`;
    throw new TaskError(message, { code: "invalid_artifact", retryable: false });
  }
  if (artifact.type === "file" && !/^[\x21-\x7e][\x20-\x7e]{2,254}$/.test(artifact.mimeType)) {
    throw new TaskError(`"${artifact.mimeType}" is no MIME type`, { code: "invalid_artifact", retryable: false });
  }
}

/** Large values go to a blob first; the value and the event are one commit. */
async function saveValue(
  port: ExecutorPort,
  facts: AttemptFacts,
  reporter: Reporter,
  signal: AbortSignal,
  value: Json,
  event: { readonly name: string; readonly data: JsonObject } | undefined,
): Promise<void> {
  signal.throwIfAborted();
  if (event !== undefined) checkEvent(event.name, event.data);
  const kept = await persist(port, signal, () => port.values.offload(rootOf(facts.address.key), value));
  const delivery = await reporter.save({ value: kept, ...event });
  if (delivery.kind === "accepted") return;
  if (delivery.kind === "refused") throw new TaskError(`it could not be saved: ${delivery.error.message}`);
  throw new TaskError("the attempt is over; nothing can be saved any more", { retryable: false });
}

function addEvent(reporter: Reporter, name: string, data: JsonObject): void {
  checkEvent(name, data);
  if (!reporter.note(name, data)) throw new TaskError("too many events wait to be stored; emit fewer");
}

function checkEvent(name: string, data: JsonObject): void {
  const fail = (message: string) => {
    throw new TaskError(message, { code: "invalid_event", retryable: false });
  };
  if (!/^[a-z][a-z_]{0,63}$/.test(name)) fail(`"${name}" is no event name; use [a-z_], in the past tense`);
  if (reservedEvents.has(name)) fail(`the event name "${name}" belongs to the task itself; choose another`);
  assertNoRefs(data);
  if (JSON.stringify(data).length > eventBytesMax) fail(`the data of event "${name}" is over ${eventBytesMax} bytes`);
}

function addCost(total: Leavings["cost"], cost: Parameters<AgentContext["cost"]>[0]): void {
  for (const part of ["promptTokens", "completionTokens", "usd"] as const) {
    const value = cost[part] ?? 0;
    if (!Number.isFinite(value) || value < 0)
      throw new TaskError(`cost.${part} is no number from 0`, { retryable: false });
    total[part] += value;
  }
}

function abortableSleep(port: ExecutorPort, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const onAbort = () => {
      timer.cancel();
      reject(signal.reason as Error);
    };
    const timer = port.clock.after(Math.max(0, ms), () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
