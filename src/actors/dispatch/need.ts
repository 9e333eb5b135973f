/**
 * What waiting work asks of who is to do it: one agent by name, or a type, or capabilities; and amounts that it
 * holds meanwhile. Pure; who there is, is workers.ts's.
 */
import type { JsonObject } from "../../machines/effects.ts";
import type { Amounts } from "../../machines/schema.ts";

/** A task's type when capabilities alone decide. */
export const anyType = "any";

export interface Need {
  /** Set: this agent and no other, whatever its type. */
  readonly agent: string | undefined;
  readonly type: string;
  readonly capabilities: readonly string[];
  /** Per unit; undefined: nothing. */
  readonly amounts: Amounts | undefined;
}

/** Who may do work, as far as needs go. */
export interface Able {
  readonly id: string;
  readonly type: string;
  readonly capabilities: readonly string[];
  /** 0: here; 1: an agent from outside; 2: hosted by another node, which comes to it only where nobody else can. */
  readonly distance: 0 | 1 | 2;
}

/** Reads a task's context. */
export function needOf(context: JsonObject): Need {
  const { taskType, capabilities, assignedAgent, resources } = context;
  return {
    agent: typeof assignedAgent === "string" ? assignedAgent : undefined,
    type: typeof taskType === "string" ? taskType : anyType,
    capabilities: Array.isArray(capabilities) ? (capabilities as readonly string[]) : [],
    amounts: resources as Amounts | undefined,
  };
}

/** Equal for needs that the same agents can meet: they wait in one queue. */
export function needKey({ agent, type, capabilities, amounts }: Need): string {
  const what = agent === undefined ? [type, [...capabilities].sort()] : [agent];
  if (amounts === undefined) return JSON.stringify(what);
  return JSON.stringify([what, Object.entries(amounts).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

export function canDo(able: Able, need: Need): boolean {
  if (need.agent !== undefined) return able.id === need.agent;
  // Contract 004's agents have no type: what they can do is what they do.
  const { type, capabilities } = able;
  if (need.type !== anyType && need.type !== type && !capabilities.includes(need.type)) return false;
  // Work that asks for nothing is for any agent from outside; functions are written for one kind of input.
  if (need.type === anyType && need.capabilities.length === 0) return able.distance === 1;
  return need.capabilities.every((capability) => capabilities.includes(capability));
}

/** For people: `type`, `a+b`, or the agent's id. */
export function needName({ agent, type, capabilities }: Need): string {
  return agent ?? (type === anyType && capabilities.length > 0 ? capabilities.join("+") : type);
}
