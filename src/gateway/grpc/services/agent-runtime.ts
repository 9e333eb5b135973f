/** Contract 002 over gRPC (`agent.runtime.v1.AgentRuntime`): the core's operations in the contract's messages. */
import type { JsonObject } from "../../../machines/effects.ts";
import { eventNumber, isTerminal, toRunEvent } from "../../dialects/002/events.ts";
import type { Artifact, Checkpoint, Run, RunEvent } from "../../dialects/002/schema.ts";
import { invalid } from "../../errors.ts";
import { readRun } from "../../operations/runs.ts";
import { rootEvents } from "../../sse.ts";
import { type CallContext, type GrpcParts, requireScopeOf, streaming, unary } from "../calls.ts";
import { fromJsonValue, type JsonValue, toJsonValue } from "../json-value.ts";
import {
  artifactMessage,
  checkpointMessage,
  eventMessage,
  runMessage,
  type WorkflowShape,
  workflowMessage,
} from "./runtime-messages.ts";

interface Page {
  readonly limit: number;
  readonly cursor: string;
}
interface CreateRun {
  readonly workflow: { readonly name: string; readonly version: string } | null;
  readonly input: JsonValue | null;
  readonly context: JsonValue | null;
  readonly metadata: Readonly<Record<string, JsonValue>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly idempotency_key: string;
}
interface Decision {
  readonly run_id: string;
  readonly checkpoint_id: string;
  readonly note: string;
  readonly input?: JsonValue | null;
}

/** What was not sent is left to the operation's default. */
const page = ({ limit, cursor }: Page) => ({ ...(limit === 0 ? {} : { limit }), ...given({ cursor }) });

function given(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
}

async function createRun(ctx: CallContext, request: CreateRun) {
  const { name = "", version = "" } = request.workflow ?? {};
  const context = fromJsonValue(request.context);
  const metadata = Object.entries(request.metadata).map(([k, value]) => [k, fromJsonValue(value) ?? null]);
  const input = {
    workflow: { name, ...given({ version }) },
    input: fromJsonValue(request.input) ?? null,
    ...(context === undefined ? {} : { context }),
    ...(metadata.length === 0 ? {} : { metadata: Object.fromEntries(metadata) }),
    ...(Object.keys(request.labels).length === 0 ? {} : { labels: request.labels }),
  };
  const { run } = await ctx.run<{ run: Run }>("runs.create", input, request.idempotency_key);
  return { run: runMessage(run) };
}

async function decide(ctx: CallContext, verb: "approve" | "reject" | "provide_input", request: Decision) {
  const { run_id, checkpoint_id, note } = request;
  const input = fromJsonValue(request.input);
  if (verb === "provide_input" && input === undefined) {
    throw invalid("The request is not valid", [{ path: "input", message: "is required" }]);
  }
  const checkpoint = await ctx.run<Checkpoint>(`checkpoints.${verb}`, {
    run_id,
    checkpoint_id,
    ...given({ note }),
    ...(verb === "provide_input" ? { input } : {}),
  });
  return checkpointMessage(checkpoint);
}

/** History, then live, each event once; resumes behind the metadata `last-event-id`. Ends with the run. */
async function* streamEvents(ctx: CallContext, { run_id: run }: { run_id: string }) {
  requireScopeOf(ctx, "events:read");
  const view = await readRun(ctx, run);
  const last = String(ctx.metadata.get("last-event-id")[0] ?? "");
  const after = last === "" ? 0 : eventNumber(run, last);
  if (after === null) {
    throw invalid("The stream cannot resume", [{ path: "last-event-id", message: "not an event id of this run" }]);
  }
  const ended = ["succeeded", "failed", "canceled", "timed_out"].includes(view.status);
  for await (const stored of rootEvents(ctx, { root: run, after, ended, signal: ctx.signal })) {
    const event = stored === "silence" ? null : toRunEvent(stored, view.traceId);
    if (event === null) continue;
    yield eventMessage(event);
    if (isTerminal(event.type)) return;
  }
}

type WorkflowList = { data: { name: string; version: string; description: string | null; tags: string[] }[] };
type Next = { next_cursor: string | null };

export function agentRuntime(parts: GrpcParts) {
  return {
    CreateRun: unary(parts, createRun),
    GetRun: unary(parts, async (ctx: CallContext, { run_id }: { run_id: string }) => ({
      run: runMessage(await ctx.run<Run>("runs.get", { run_id })),
    })),
    ListRuns: unary(parts, async (ctx: CallContext, r: Page & { status: string; workflow_name: string }) => {
      const { status, workflow_name } = r;
      const list = await ctx.run<{ data: Run[] } & Next>("runs.list", {
        ...page(r),
        ...given({ status, workflow_name }),
      });
      return { data: list.data.map(runMessage), next_cursor: list.next_cursor ?? "" };
    }),
    CancelRun: unary(parts, async (ctx: CallContext, { run_id }: { run_id: string }) => ({
      run: runMessage(await ctx.run<Run>("runs.cancel", { run_id })),
    })),
    ListEvents: unary(parts, async (ctx: CallContext, r: Page & { run_id: string }) => {
      const list = await ctx.run<{ data: RunEvent[] } & Next>("runs.events", { run_id: r.run_id, ...page(r) });
      return { data: list.data.map(eventMessage), next_cursor: list.next_cursor ?? "" };
    }),
    StreamEvents: streaming(parts, streamEvents),
    ApproveCheckpoint: unary(parts, (ctx: CallContext, r: Decision) => decide(ctx, "approve", r)),
    RejectCheckpoint: unary(parts, (ctx: CallContext, r: Decision) => decide(ctx, "reject", r)),
    ProvideCheckpointInput: unary(parts, (ctx: CallContext, r: Decision) => decide(ctx, "provide_input", r)),
    ListWorkflows: unary(parts, async (ctx: CallContext, r: Page & { tag: string }) => {
      const list = await ctx.run<WorkflowList & Next>("workflows.list", { ...page(r), ...given({ tag: r.tag }) });
      const data = list.data.map((w) => ({ ...w, description: w.description ?? "" }));
      return { data, next_cursor: list.next_cursor ?? "" };
    }),
    GetWorkflow: unary(parts, async (ctx: CallContext, r: { name: string; version: string }) =>
      workflowMessage(
        await ctx.run<WorkflowShape>("workflows.get", { name: r.name, ...given({ version: r.version }) }),
      ),
    ),
    GetWorkflowSchemas: unary(parts, async (ctx: CallContext, r: { name: string; version: string }) => {
      const input = { name: r.name, ...given({ version: r.version }) };
      const bundle = await ctx.run<{ workflow: { name: string }; schema_hash: string; schemas: JsonObject }>(
        "workflows.schemas",
        input,
      );
      const schemas = Object.entries(bundle.schemas).map(([key, value]) => [key, toJsonValue(value)]);
      return { workflow: bundle.workflow.name, schema_hash: bundle.schema_hash, schemas: Object.fromEntries(schemas) };
    }),
    GetArtifact: unary(parts, async (ctx: CallContext, { artifact_id }: { artifact_id: string }) =>
      artifactMessage(await ctx.run<Artifact>("artifacts.get", { artifact_id })),
    ),
  };
}
