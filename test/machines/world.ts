/**
 * A small runtime in memory: actors of all types, mail in order, reminders on a stepped clock,
 * and work that the test answers. Every snapshot goes through JSON now and then, as a restore.
 */
import { type Address, formatAddress, parseAddress } from "../../src/machines/address.ts";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import type { Command, Effect, Json } from "../../src/machines/effects.ts";
import { definitions, type StageView } from "../../src/machines/index.ts";
import { type Paged, pagedItems } from "../../src/machines/paged.ts";
import { absent, type State, step } from "./driver.ts";

export interface PendingWork {
  readonly at: Address;
  readonly id: string;
  readonly kind: string;
  readonly context: Record<string, unknown>;
}

export interface WorldEvent {
  readonly at: string;
  readonly name: string;
  readonly data: Record<string, unknown>;
}

export class World {
  now = 1_000;
  readonly states = new Map<string, State>();
  readonly events: WorldEvent[] = [];
  readonly work: PendingWork[] = [];
  readonly refusals: { at: string; command: string; message: string }[] = [];
  /** Sends per step, the largest seen. */
  sendsMost = 0;
  /** Restores an actor from JSON before a step when this says so. */
  restore: () => boolean = () => false;
  /** Sees every step before it is made, and each that was kept, with the state before it. */
  onStep: (at: string, command: Command) => void = () => {};
  onStepped: (at: string, command: Command, before: State | undefined) => void = () => {};
  readonly #mail: { to: Address; command: Command }[] = [];
  readonly #reminders = new Map<string, { at: number; to: Address; command: Command }>();

  /** A command from outside, and all mail that follows from it. Gives its refusal or reply. */
  ask(to: string, command: Command): { reply: Json; refused?: string } {
    const effects = this.#step(parseAddress(to), command);
    this.settle();
    const refusal = effects.find((e) => e.type === "refuse");
    if (refusal?.type === "refuse") return { reply: null, refused: refusal.code };
    const reply = effects.find((e) => e.type === "reply");
    return { reply: reply?.type === "reply" ? reply.value : null };
  }

  /** Delivers mail until there is none. */
  settle(): void {
    for (let letter = this.#mail.shift(); letter !== undefined; letter = this.#mail.shift()) {
      this.#step(letter.to, letter.command);
    }
  }

  /** Lets time pass; reminders fire in order. */
  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const due = [...this.#reminders].filter(([, r]) => r.at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      const [name, reminder] = due;
      this.#reminders.delete(name);
      this.now = Math.max(this.now, reminder.at);
      this.#step(reminder.to, reminder.command);
      this.settle();
    }
    this.now = until;
  }

  get reminders(): string[] {
    return [...this.#reminders.keys()];
  }

  context<C = Record<string, unknown>>(at: string): C {
    return this.states.get(at)?.context as C;
  }

  view(at: string): Record<string, Json> {
    const address = parseAddress(at);
    const state = this.states.get(at);
    if (state === undefined) throw new Error(`no ${at}`);
    return definitionOf(address.type).view?.(state) as Record<string, Json>;
  }

  /** A run's stages, as its view has them. */
  stages(at = "run/r1"): readonly StageView[] {
    return pagedItems(this.view(at).stages as unknown as Paged<StageView>);
  }

  /** Takes the waiting work that fits, the oldest first. */
  take(match: (w: PendingWork) => boolean = () => true): PendingWork | undefined {
    const i = this.work.findIndex(match);
    return i < 0 ? undefined : this.work.splice(i, 1)[0];
  }

  /** Answers a task's waiting attempt. */
  report(work: PendingWork, outcome: unknown): { refused?: string } {
    const attempt = work.context.attempt as number;
    const at = formatAddress(work.at);
    this.ask(at, { type: "task.start", attempt, agent: "a-n1", node: "n1" });
    return this.ask(at, { type: "task.report", attempt, outcome });
  }

  eventNames(at: string): string[] {
    return this.events.filter((e) => e.at === at).map((e) => e.name);
  }

  #step(to: Address, command: Command): readonly Effect[] {
    const at = formatAddress(to);
    const definition = definitionOf(to.type);
    let state = this.states.get(at) ?? absent(definition);
    if (this.restore()) state = JSON.parse(JSON.stringify(state)) as State;
    this.onStep(at, command);
    const before = this.states.get(at);
    const stepped = step(definition, state, command, to, this.now);
    if (stepped.unhandled || stepped.refusal) {
      const message = stepped.refusal?.message ?? "unhandled";
      this.refusals.push({ at, command: command.type, message });
      return stepped.unhandled ? [{ type: "refuse", code: "conflict", message }] : stepped.effects;
    }
    this.states.set(at, stepped.state);
    this.onStepped(at, command, before);
    this.sendsMost = Math.max(this.sendsMost, stepped.effects.filter((e) => e.type === "send").length);
    for (const effect of stepped.effects) this.#carryOut(to, effect);
    return stepped.effects;
  }

  #carryOut(self: Address, effect: Effect): void {
    const at = formatAddress(self);
    if (effect.type === "send") this.#mail.push({ to: effect.to, command: effect.command });
    else if (effect.type === "emit") this.events.push({ at, name: effect.name, data: effect.data });
    else if (effect.type === "remind") {
      this.#reminders.set(`${at} ${effect.name}`, { at: effect.at, to: self, command: effect.command });
    } else if (effect.type === "forget") this.#reminders.delete(`${at} ${effect.name}`);
    else if (effect.type === "settle") {
      const i = this.work.findIndex((w) => formatAddress(w.at) === at && w.id === effect.id);
      if (i >= 0) this.work.splice(i, 1);
    } else if (effect.type === "execute") {
      this.work.push({ at: self, id: effect.id, kind: effect.kind, context: this.context(at) });
    }
  }
}

function definitionOf(type: string): ActorDefinition {
  const definition = definitions.find((d) => d.type === type);
  if (definition === undefined) throw new Error(`no type ${type}`);
  return definition;
}

const nothing = { promptTokens: 0, completionTokens: 0, usd: 0 };

export const ok = (output: Json, more: { cost?: object; artifacts?: unknown[] } = {}) => ({
  ok: true,
  output,
  artifacts: more.artifacts ?? [],
  cost: more.cost ?? nothing,
});

export const bad = (code = "broken", retryable = false) => ({
  ok: false,
  error: { code, message: `it is ${code}`, retryable },
  cost: nothing,
});
