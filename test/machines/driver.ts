/**
 * Drives one actor's machine as the runtime does: a command in, the next snapshot and effects
 * out. `given(definition, commands).when(command)` tells a scenario.
 */
import type { AnyActorScope } from "xstate";
import { type Address, parseAddress } from "../../src/machines/address.ts";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import type { Command, Effect, Json } from "../../src/machines/effects.ts";

export interface State {
  readonly value: Json;
  readonly context: never;
}

export interface Stepped {
  readonly state: State;
  readonly effects: readonly Effect[];
  /** Not handled: the runtime answers `conflict` or `not_found`. */
  readonly unhandled: boolean;
  /** The `refuse` effect, after which the state is the old one. */
  readonly refusal?: Extract<Effect, { type: "refuse" }>;
}

export function absent(definition: ActorDefinition): State {
  return { value: definition.machine.config.initial as string, context: {} as never };
}

/** One step, as the runtime makes it. Restores the snapshot from plain JSON values. */
export function step(definition: ActorDefinition, state: State, command: Command, self: Address, now: number): Stepped {
  const collected: Effect[] = [];
  const scope = {
    self: { id: self.key, send() {}, _parent: undefined },
    id: self.key,
    sessionId: self.key,
    logger() {},
    defer() {},
    stopChild() {},
    emit() {},
    system: { get: () => undefined, _sendInspectionEvent() {} },
    actionExecutor(action: { type: string; params: Record<string, unknown> }) {
      const { type, params } = action;
      if (type === "xstate.emit") collected.push(params.event as Effect);
      else if (type === "xstate.raise" && params.delay !== undefined) {
        const at = now + (params.delay as number);
        collected.push({ type: "remind", name: String(params.id), at, command: params.event as Command });
      } else if (type === "xstate.cancel") collected.push({ type: "forget", name: String(params.sendId) });
      // A raise without delay is a part of the same step: XState has taken it already.
      else if (type !== "xstate.raise") throw new Error(`a machine may not do ${type}`);
    },
  };
  const before = definition.machine.resolveState({ value: state.value as never, context: state.context as never });
  const event = { ...command, meta: { self, now } };
  const after = definition.machine.transition(before, event as never, scope as unknown as AnyActorScope);
  if (after === before && collected.length === 0) return { state, effects: [], unhandled: true };
  const refusal = collected.find((e) => e.type === "refuse");
  if (refusal !== undefined) return { state, effects: [refusal], unhandled: false, refusal };
  return {
    state: { value: after.value as Json, context: after.context as never },
    effects: collected,
    unhandled: false,
  };
}

/** A command, or a command at a time. */
export type Given = Command | { readonly at: number; readonly command: Command };

export interface Scenario {
  when(command: Command, at?: number): Stepped & { readonly context: Record<string, unknown>; readonly view: Json };
}

/** Steps the commands on a fresh actor at times 0, 1000, 2000 …; throws when one is refused. */
export function given(definition: ActorDefinition, self: string, commands: readonly Given[]): Scenario {
  const address = parseAddress(self);
  let state = absent(definition);
  let now = -1_000;
  for (const g of commands) {
    const command = "command" in g && "at" in g ? (g.command as Command) : (g as Command);
    now = "command" in g && "at" in g ? (g.at as number) : now + 1_000;
    const stepped = step(definition, state, command, address, now);
    if (stepped.unhandled || stepped.refusal) {
      throw new Error(`given ${command.type} was refused: ${stepped.refusal?.message ?? "unhandled"}`);
    }
    state = stepped.state;
  }
  return {
    when(command, at = now + 1_000) {
      const stepped = step(definition, state, command, address, at);
      const context = stepped.state.context as Record<string, unknown>;
      const snapshot = { value: stepped.state.value, context: stepped.state.context };
      return { ...stepped, context, view: definition.view?.(snapshot) ?? (context as Json) };
    },
  };
}

/** Effects without their data, as a story: `emit completed`, `send run/r1 run.finish_task`, … */
export function story(effects: readonly Effect[]): string[] {
  return effects.map(told);
}

function told(e: Effect): string {
  switch (e.type) {
    case "send":
      return `send ${e.to.type}/${e.to.key} ${e.command.type}`;
    case "emit":
    case "announce":
    case "forget":
      return `${e.type} ${e.name}`;
    case "remind":
      return `remind ${e.name} at ${e.at}`;
    case "execute":
    case "settle":
      return `${e.type} ${e.id}`;
    case "reply":
      return `reply ${JSON.stringify(e.value)}`;
    case "refuse":
      return `refuse ${e.code}`;
  }
}
