/**
 * The step: one command through one machine, pure. Gives the next snapshot and the effects; the
 * partition decides what becomes of them. XState is used as a function here: no live actors.
 */
import { type AnyMachineSnapshot, createActor } from "xstate";
import type { ActorDefinition, Snapshot } from "../machines/definition.ts";
import { type Command, type Effect, forget, type JsonObject, remind, type StepMeta } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";

export interface StepResult {
  /** The very same object as before when nothing changed. */
  readonly snapshot: Snapshot;
  readonly effects: readonly Effect[];
}

/** Reminder names that XState's own delayed transitions use. */
const delayedPrefix = "after:";

interface Raised {
  readonly event: Command;
  readonly id?: string;
  readonly delay?: number;
}

/** A machine made ready for stepping: one reused XState scope that collects instead of executing. */
export class Stepper {
  readonly #definition: ActorDefinition;
  readonly #scope: Parameters<ActorDefinition["machine"]["transition"]>[2];
  readonly #initial: Snapshot;
  #effects: Effect[] = [];
  #now = 0;

  constructor(definition: ActorDefinition) {
    this.#definition = definition;
    const self = createActor(definition.machine);
    const collect = (action: { type: string; params: unknown }) => this.#collect(action.type, action.params);
    this.#scope = {
      self,
      id: "",
      sessionId: "",
      logger: () => {},
      defer: () => {},
      stopChild: () => {},
      system: self.system,
      emit: () => {},
      actionExecutor: collect,
    } as never;
    const initial = definition.machine.getInitialSnapshot(this.#scope, undefined) as AnyMachineSnapshot;
    this.#initial = { value: initial.value as Snapshot["value"], context: initial.context as JsonObject };
  }

  /** What an actor that does not exist yet starts from. */
  get initial(): Snapshot {
    return this.#initial;
  }

  get definition(): ActorDefinition {
    return this.#definition;
  }

  /**
   * Steps. Throws TroupeError for a refusal (`refuse` effect, or a command that the state does not
   * handle: `not_found` before creation, `conflict` after), and whatever a faulty machine throws.
   */
  step(before: Snapshot | null, command: Command, meta: StepMeta): StepResult {
    const machine = this.#definition.machine;
    const from = before ?? this.#initial;
    const state = machine.resolveState({ value: from.value as never, context: from.context as never });
    const collected: Effect[] = [];
    this.#effects = collected;
    this.#now = meta.now;
    const next = machine.transition(state, { ...command, meta } as never, this.#scope) as AnyMachineSnapshot;
    this.#effects = [];
    for (const effect of collected) {
      if (effect.type === "refuse") throw new TroupeError(effect.code, effect.message, effect.details);
    }
    if (next === state && collected.length === 0) throw unhandled(before, command, meta);
    const same = next.context === from.context && sameValue(next.value, from.value);
    const snapshot = same ? from : { value: next.value as Snapshot["value"], context: next.context as JsonObject };
    return { snapshot, effects: collected };
  }

  #collect(type: string, params: unknown): void {
    if (type === "xstate.emit") {
      this.#effects.push((params as { event: Effect }).event);
    } else if (type === "xstate.raise") {
      const raised = params as Raised;
      if (typeof raised.delay !== "number") return;
      const name = delayedPrefix + (raised.id ?? raised.event.type);
      this.#effects.push(remind(name, this.#now + raised.delay, raised.event));
    } else if (type === "xstate.cancel") {
      this.#effects.push(forget(delayedPrefix + (params as { sendId: string }).sendId));
    } else {
      throw new Error(`machine ${this.#definition.type} asks to execute ${type}: only effects may leave a machine`);
    }
  }
}

function unhandled(before: Snapshot | null, command: Command, meta: StepMeta): TroupeError {
  const { type, key } = meta.self;
  if (before === null) return new TroupeError("not_found", `There is no ${type} ${key}.`);
  const state = typeof before.value === "string" ? before.value : JSON.stringify(before.value);
  return new TroupeError("conflict", `${type} ${key} is ${state}; it does not take ${command.type} now.`, { state });
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  return JSON.stringify(a) === JSON.stringify(b);
}
