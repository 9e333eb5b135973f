/**
 * A session's shared state and its tools: replaced, merged, told to watchers. Pure; owns no transition.
 */
import { type Effect, emit, type Json, type JsonObject, refuse, reply, type StepMeta } from "../effects.ts";
import { isObject, jsonSize } from "../json.ts";
import type { Planned, WithMeta } from "../planned.ts";
import { type SessionCommand, type SessionContext, stateSizeMax, type Tool, toolsMax } from "./schema.ts";

type Of<T extends SessionCommand["type"]> = WithMeta<Extract<SessionCommand, { type: T }>>;
type Step = Planned<SessionContext>;

export function changedState(context: SessionContext, state: Json, meta: StepMeta): Partial<SessionContext> {
  if (JSON.stringify(state) === JSON.stringify(context.state)) return {};
  return { state, stateVersion: context.stateVersion + 1, stateAt: meta.now };
}

/** Watchers read the state when it is too large for an event. */
export function stateEvent(context: SessionContext): Effect {
  const small = jsonSize(context.state) <= 16_384;
  return emit("state_changed", { version: context.stateVersion, ...(small ? { state: context.state } : {}) });
}

export function updateState(context: SessionContext, command: Of<"session.update_state">): Step {
  const state = command.merge ? merged(context.state, command.state) : command.state;
  if (jsonSize(state) > stateSizeMax) return refused(context, "too_large", `the state is over ${stateSizeMax} bytes`);
  const changed = changedState(context, state, command.meta);
  if (changed.stateVersion === undefined) {
    return { context, effects: [reply({ version: context.stateVersion })] };
  }
  const next = { ...context, ...changed, activeAt: command.meta.now };
  return { context: next, effects: [reply({ version: next.stateVersion }), stateEvent(next)] };
}

/** JSON Merge Patch of the first level (RFC 7396): null removes a field. */
function merged(state: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const base = isObject(state) ? (state as JsonObject) : {};
  const entries = Object.entries({ ...base, ...(patch as JsonObject) }).filter(([, value]) => value !== null);
  return Object.fromEntries(entries);
}

/** Those with a known name take its place when `replace`, or are left out. */
export function mergeTools(have: readonly Tool[], more: readonly Tool[], replace: boolean): Tool[] {
  const byName = new Map(have.map((tool) => [tool.name, tool]));
  for (const tool of more) if (replace || !byName.has(tool.name)) byName.set(tool.name, tool);
  return [...byName.values()];
}

export function registerTools(context: SessionContext, command: Of<"session.register_tools">): Step {
  const tools = mergeTools(context.tools, command.tools, command.replace);
  if (tools.length > toolsMax) return refused(context, "overloaded", `a session has at most ${toolsMax} tools`);
  const had = new Set(context.tools.map(({ name }) => name));
  const taken = command.tools.filter(({ name }) => command.replace || !had.has(name)).map(({ name }) => name);
  return {
    context: { ...context, tools, activeAt: command.meta.now },
    effects: [reply({ registered: taken }), emit("tools_registered", { names: taken.slice(0, 64) })],
  };
}

function refused(context: SessionContext, code: "too_large" | "overloaded", message: string): Step {
  return { context, effects: [refuse(code, message)] };
}
