/** Contract 003: sessions, their state and their tools over gRPC. The operations are the core's. */
import jsonPatch from "fast-json-patch";
import type { StoredEvent } from "../../../actors/client.ts";
import { address } from "../../../machines/address.ts";
import type { Json, JsonObject } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { isObject } from "../../../machines/json.ts";
import type { SessionView } from "../../../machines/session/machine.ts";
import { readAfterEvent } from "../../after-event.ts";
import { sessionKey } from "../../ag-ui/begin.ts";
import { readSession, type SessionShape } from "../../operations/sessions.ts";
import { rootEvents } from "../../sse.ts";
import { type AnyMessage, fromTimestamp, packAny, toTimestamp, unpackAny } from "../any.ts";
import { type CallContext, type GrpcParts, requireScopeOf, streaming, unary } from "../calls.ts";
import { toValue } from "../json-value.ts";
import { type ToolProto, toTool } from "./ag-ui-messages.ts";

interface Time {
  readonly seconds?: number;
  readonly nanos?: number;
}
interface CreateSession {
  readonly session_id: string;
  readonly initial_state: AnyMessage | null;
  readonly tools: readonly ToolProto[];
  readonly context: readonly { readonly description: string; readonly value: string }[];
  readonly options: {
    readonly expires_at: Time | null;
    readonly auto_save_state: boolean;
    readonly max_messages: number;
    readonly enable_logging: boolean;
  } | null;
}

const ms = (time: string | null | undefined): number | null => (time ? Date.parse(time) : null);

async function createSession(ctx: CallContext, request: CreateSession) {
  const { options } = request;
  const state = unpackAny(request.initial_state);
  const expiresAt = fromTimestamp(options?.expires_at);
  try {
    const session = await ctx.run<SessionShape>("sessions.create", {
      ...(request.session_id === "" ? {} : { session_id: request.session_id }),
      ...(state === undefined ? {} : { state }),
      tools: request.tools.map(toTool),
      context: request.context.map(({ description, value }) => ({ description, value })),
      ...(expiresAt === undefined ? {} : { expires_at: new Date(expiresAt).toISOString() }),
      ...(options === null
        ? {}
        : {
            auto_save_state: options.auto_save_state,
            enable_logging: options.enable_logging,
            ...(options.max_messages > 0 ? { max_messages: options.max_messages } : {}),
          }),
    });
    const created = { session_id: session.session_id, success: true, error_message: "" };
    return { ...created, created_at: toTimestamp(ms(session.created_at)) };
  } catch (error) {
    // The contract tells this in the answer; everything else is a status.
    if (!(error instanceof TroupeError) || error.code !== "already_exists") throw error;
    return { session_id: request.session_id, success: false, error_message: error.message, created_at: null };
  }
}

/** ACTIVE while a run is under way, IDLE otherwise. */
function statusOf(session: SessionShape): string {
  if (session.status === "expired") return "EXPIRED";
  if (session.status === "ended") return "TERMINATED";
  return session.runs.some(({ status }) => status === "running" || status === "queued") ? "ACTIVE" : "IDLE";
}

async function getSession(ctx: CallContext, { session_id }: { session_id: string }) {
  const session = await ctx.run<SessionShape>("sessions.get", { session_id }).catch((error: unknown) => {
    if (error instanceof TroupeError && error.code === "not_found") return null;
    throw error;
  });
  if (session === null) return { session_id, session_info: null, exists: false };
  const info = {
    session_id,
    created_at: toTimestamp(ms(session.created_at)),
    last_activity: toTimestamp(ms(session.active_at)),
    expires_at: toTimestamp(ms(session.expires_at)),
    message_count: session.message_count,
    status: statusOf(session),
  };
  return { session_id, session_info: info, exists: true };
}

/** Only these fields of the state's first level; all without any. */
function picked(state: Json, keys: readonly string[]): Json {
  if (keys.length === 0 || !isObject(state)) return state;
  return Object.fromEntries(
    keys.filter((key) => Object.hasOwn(state, key)).map((key) => [key, state[key]]),
  ) as JsonObject;
}

/** First the whole, then JSON Patches (RFC 6902) of what changed, to the session's end. */
async function* watchState(ctx: CallContext, request: { session_id: string; watch_keys: string[] }) {
  requireScopeOf(ctx, "runs:read");
  const { session_id, watch_keys } = request;
  const root = sessionKey(session_id);
  const { last } = await ctx.runtime.history(root, 0, 1);
  const watched = async (view: SessionView) => picked(await ctx.runtime.values.load(view.state), watch_keys);
  const told = (changes: PatchOperation[], view: SessionView) => ({
    session_id,
    changes: changes.map(patchMessage),
    timestamp: toTimestamp(view.stateAt),
  });
  let view = await readSession(ctx, session_id);
  let state = await watched(view);
  yield told([{ op: "replace", path: "", value: state }], view);
  if (view.status !== "open") return;
  for await (const stored of rootEvents(ctx, { root, after: last, ended: false, signal: ctx.signal })) {
    if (stored === "silence" || stored.type !== "session" || !stateEvents.has(stored.name)) continue;
    const { stateVersion } = view;
    view = (await readAfterEvent(ctx, address("session", root), (now) =>
      shows(now as unknown as SessionView, stored, stateVersion),
    )) as unknown as SessionView;
    const now = await watched(view);
    const changes = difference(state, now);
    state = now;
    if (changes.length > 0) yield told(changes, view);
    if (view.status !== "open") return;
  }
}

const stateEvents: ReadonlySet<string> = new Set(["state_changed", "reset", "ended", "expired"]);

/** The view is not older than the event. */
function shows(view: SessionView, { name, data }: StoredEvent, before: number): boolean {
  if (name === "state_changed") return view.stateVersion >= Number(data.version);
  return name === "reset" ? view.stateVersion > before : view.status !== "open";
}

interface PatchOperation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

function difference(before: Json, after: Json): PatchOperation[] {
  if (isObject(before) && isObject(after))
    return jsonPatch.compare(before as object, after as object) as PatchOperation[];
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  return [{ op: "replace", path: "", value: after }];
}

function patchMessage({ op, path, from, value }: PatchOperation) {
  return {
    op: op.toUpperCase(),
    path,
    ...(from === undefined ? {} : { from }),
    ...(value === undefined ? {} : { value: toValue(value as Json) }),
  };
}

async function registerTools(
  ctx: CallContext,
  request: { session_id: string; tools: ToolProto[]; replace_existing: boolean },
) {
  const named = request.tools.filter(({ name }) => name !== "");
  const { registered } = await ctx.run<{ registered: string[] }>("sessions.register_tools", {
    session_id: request.session_id,
    tools: named.map(toTool),
    replace: request.replace_existing,
  });
  const errors = request.tools
    .filter(({ name }) => !registered.includes(name))
    .map(({ name }) => ({ tool_name: name, error_message: name === "" ? "a tool needs a name" : "it exists already" }));
  return { success: errors.length === 0, registered_tool_names: registered, errors };
}

export function sessionMethods(parts: GrpcParts) {
  return {
    CreateSession: unary(parts, createSession),
    GetSession: unary(parts, getSession),
    EndSession: unary(parts, async (ctx: CallContext, r: { session_id: string; save_state: boolean }) => {
      await ctx.run("sessions.end", { session_id: r.session_id, save_state: r.save_state });
      return { success: true, message: "the session has ended" };
    }),
    GetState: unary(parts, async (ctx: CallContext, r: { session_id: string; keys: string[] }) => {
      const session = await ctx.run<SessionShape>("sessions.get", { session_id: r.session_id });
      const state = picked(session.state as Json, r.keys);
      return { state: packAny(state), last_modified: toTimestamp(ms(session.state_at)) };
    }),
    UpdateState: unary(
      parts,
      async (ctx: CallContext, r: { session_id: string; state_delta: AnyMessage | null; merge: boolean }) => {
        const state = unpackAny(r.state_delta);
        if (state === undefined) throw new TroupeError("invalid_input", "state_delta is required");
        const session = await ctx.run<SessionShape>("sessions.update_state", {
          session_id: r.session_id,
          state,
          merge: r.merge,
        });
        const timestamp = toTimestamp(ms(session.state_at));
        return { success: true, new_state: packAny(session.state as Json), timestamp };
      },
    ),
    WatchState: streaming(parts, watchState),
    RegisterTools: unary(parts, registerTools),
  };
}
