/**
 * Workflows of contract 001 (stages) and 004 (steps) as the core's definitions, and a workflow with its latest run
 * in both vocabularies. Pure.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../../../machines/effects.ts";
import { isObject } from "../../../machines/json.ts";
import { freeJson, freeObject } from "../../operation.ts";
import type { Run } from "../002/schema.ts";
import { metadata, ownId, retryPolicy, seconds, toRetry, typeName } from "./schema.ts";
import { priority, priorityNumber, secondsToMs } from "./words.ts";

const names = z.array(z.string().max(256)).max(10_000).nullish();
const capabilities = z.array(z.string().min(1).max(128)).max(64).nullish();

const part = z.looseObject({
  name: z.string().min(1).max(256),
  description: z.string().max(4_096).nullish(),
  type: z.string().max(256).nullish(),
  agent_type: z.string().min(1).max(256).nullish(),
  capabilities,
  required_capabilities: capabilities,
  dependencies: names,
  depends_on: names,
  timeout: seconds.nullish(),
  priority: priority.nullish(),
  retry_policy: retryPolicy,
  parameters: freeJson.optional(),
  input_data: freeJson.optional(),
});
type Part = z.output<typeof part>;

export const workflowBody = z.object({
  id: ownId.regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "must match [A-Za-z0-9][A-Za-z0-9_.-]{0,63}").nullish(),
  name: z.string().min(1).max(512),
  description: z.string().max(4_096).nullish(),
  project_id: z.string().max(1_024).nullish(),
  stages: z.array(part).min(1).max(10_000).nullish(),
  steps: z.array(part).min(1).max(10_000).nullish(),
  configuration: freeObject.nullish(),
  input_data: freeJson.optional(),
  parameters: freeJson.optional(),
  metadata,
});
export type WorkflowBody = z.output<typeof workflowBody>;

/** Names by which the core knows the parts: letters, digits and `_`, each once. */
function coreNames(parts: readonly Part[]): string[] {
  const taken = new Set<string>();
  return parts.map(({ name }) => {
    const plain = name.replace(/[^A-Za-z0-9_]/g, "_");
    const base = (/^[A-Za-z]/.test(plain) ? plain : `s_${plain}`).slice(0, 56);
    let unique = base;
    for (let n = 2; taken.has(unique); n++) unique = `${base}_${n}`;
    taken.add(unique);
    return unique;
  });
}

/** `${` of a client is text, not an expression. */
function literal(value: Json): Json {
  if (typeof value === "string") return value.replaceAll("${", "$${");
  if (Array.isArray(value)) return value.map((v) => literal(v as Json));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, literal(v as Json)]));
}

/** Who does it: the named type, the named capabilities, or who can do what the part is called. */
function worker(one: Part): JsonObject {
  const wanted = one.required_capabilities ?? one.capabilities ?? [];
  const type = one.agent_type ?? (/^(task|agent|)$/.test(one.type ?? "") ? null : (one.type ?? null));
  return {
    ...(type !== null && { agent_type: typeName(type) }),
    ...(wanted.length > 0 && { capabilities: wanted }),
    ...(type === null && wanted.length === 0 && { capabilities: [one.name.slice(0, 128)] }),
  };
}

interface Placed {
  readonly name: string;
  readonly dependencies: readonly string[];
  readonly input?: Json;
}

function stageOf(one: Part, { name, dependencies, input }: Placed): JsonObject {
  const retry = toRetry(one.retry_policy);
  return {
    name,
    ...worker(one),
    ...(dependencies.length > 0 && { dependencies: [...dependencies] }),
    ...(typeof one.description === "string" && { description: one.description }),
    ...(typeof one.timeout === "number" && { timeout_ms: secondsToMs(one.timeout) }),
    ...(one.priority !== null && one.priority !== undefined && { priority: priorityNumber(one.priority) }),
    ...(retry !== undefined && { retry }),
    ...(input !== undefined && { input }),
  };
}

/** What a part's agent is given: its own parameters, those of the execution, and what came before. */
function inputOf(one: Part, before: readonly string[]): Json {
  const [only] = before;
  const outputs = Object.fromEntries(before.map((name) => [name, `\${stages.${name}.output}`]));
  return {
    step: literal(one.name),
    parameters: literal((one.parameters ?? one.input_data ?? {}) as Json),
    workflow_parameters: "${input}",
    previous_output: before.length === 1 && only !== undefined ? `\${stages.${only}.output}` : outputs,
  };
}

/** Named dependencies; steps without any come one after the other. */
function dependenciesOf(parts: readonly Part[], core: readonly string[], chained: boolean): string[][] {
  const known = new Map(parts.map(({ name }, i) => [name, core[i] as string]));
  return parts.map((one, i) => {
    const named = one.dependencies ?? one.depends_on;
    if (named !== null && named !== undefined) return named.map((name) => known.get(name) ?? name);
    return chained && i > 0 ? [core[i - 1] as string] : [];
  });
}

function strategyOf(configuration: JsonObject): string {
  const given = configuration.failure_strategy;
  if (given === undefined || given === null || given === "stop_on_error") return "stop_on_error";
  return /continue|ignore|skip/.test(String(given))
    ? "continue"
    : /compensat|rollback|undo/.test(String(given))
      ? "compensate"
      : "stop_on_error";
}

/** The version of every workflow that comes by these contracts: they know none. */
export const version = "1.0.0";

/** The core's definition; what the client sent is kept in `metadata.form`. */
export function toDefinition(id: string, body: WorkflowBody): JsonObject {
  const parts = body.stages ?? body.steps ?? [];
  const chained = body.stages === null || body.stages === undefined;
  const core = coreNames(parts);
  const dependencies = dependenciesOf(parts, core, chained);
  const configuration = (body.configuration ?? {}) as JsonObject;
  const parallel = configuration.parallel_execution;
  return {
    name: id,
    version,
    title: body.name,
    ...(typeof body.description === "string" && { description: body.description }),
    ...(typeof parallel === "boolean" && { parallel }),
    failure_strategy: strategyOf(configuration),
    metadata: { form: { ...body, id } as unknown as JsonObject },
    stages: parts.map((one, i) => {
      const before = dependencies[i] as string[];
      const own = one.parameters !== undefined || one.input_data !== undefined;
      const name = core[i] as string;
      return stageOf(one, {
        name,
        dependencies: before,
        ...((chained || own) && {
          input: inputOf(
            one,
            before.filter((b) => core.includes(b)),
          ),
        }),
      });
    }),
  };
}

const runWords: Readonly<Record<string, string>> = {
  queued: "pending",
  running: "running",
  waiting_human: "waiting",
  succeeded: "completed",
  failed: "failed",
  timed_out: "failed",
  canceled: "cancelled",
};

/** A run's status in the contracts' words. */
export function runWord(status: string): string {
  return runWords[status] ?? status;
}

const stageWords: Readonly<Record<string, string>> = {
  resolving: "pending",
  waiting: "pending",
  running: "in_progress",
};

/** What is shown of a workflow: its definition, what its client sent, its latest run. */
export interface Known {
  readonly id: string;
  readonly definition: JsonObject;
  readonly run: Run | null;
}

export function isOver(run: Run): boolean {
  return ["succeeded", "failed", "canceled", "timed_out"].includes(run.status);
}

/** In both vocabularies. */
export function toWorkflow({ id, definition, run }: Known) {
  const form = formOf(definition);
  const stages = (definition.stages as readonly JsonObject[]).map((stage, i) => shownPart(stage, i, form, run));
  const done = stages.filter(({ status }) => ["completed", "skipped", "failed", "cancelled"].includes(status)).length;
  return {
    id,
    workflow_id: id,
    name: String(definition.title ?? definition.name),
    description: (definition.description ?? null) as string | null,
    project_id: form.project_id ?? null,
    status: run === null ? "created" : runWord(run.status),
    execution_id: run?.run_id ?? null,
    stages,
    steps: stages,
    configuration: form.configuration ?? {
      parallel_execution: definition.parallel !== false,
      failure_strategy: definition.failure_strategy ?? "stop_on_error",
    },
    metadata: form.metadata ?? {},
    progress: run === null ? 0 : Math.floor((100 * done) / stages.length),
    output: run?.output ?? null,
    error: run?.error ?? null,
    started_at: run?.timing.started_at ?? null,
    completed_at: run?.timing.finished_at ?? null,
  };
}

function formOf(definition: JsonObject): JsonObject {
  const { form } = (definition.metadata ?? {}) as JsonObject;
  return isObject(form) ? form : {};
}

/** As the client wrote it, with its status; of a workflow from elsewhere, as the core has it. */
function shownPart(stage: JsonObject, i: number, form: JsonObject, run: Run | null) {
  const given = ((form.stages ?? form.steps ?? []) as readonly JsonObject[])[i] ?? {};
  const state = run?.stages[i];
  const timeout = typeof stage.timeout_ms === "number" ? stage.timeout_ms / 1000 : null;
  return {
    type: "task",
    agent_type: (stage.agent_type ?? null) as Json,
    dependencies: (stage.dependencies ?? []) as Json,
    timeout,
    ...given,
    name: String(given.name ?? stage.name),
    status: state === undefined ? "pending" : (stageWords[state.status] ?? state.status),
  };
}
