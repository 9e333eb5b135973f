/** The real machines behind authentication, stepped in memory: what the fake runtime has of credentials, rates, keys. */
import type { Answer } from "../../../src/actors/client.ts";
import type { Address } from "../../../src/machines/address.ts";
import { credentialDefinition } from "../../../src/machines/credential/machine.ts";
import type { ActorDefinition } from "../../../src/machines/definition.ts";
import type { Command, Json } from "../../../src/machines/effects.ts";
import { TroupeError } from "../../../src/machines/errors.ts";
import { idempotencyDefinition } from "../../../src/machines/idempotency/machine.ts";
import { rateDefinition } from "../../../src/machines/rate/machine.ts";
import { absent, type State, step } from "../../machines/driver.ts";

const definitions = new Map<string, ActorDefinition>(
  [credentialDefinition, rateDefinition, idempotencyDefinition].map((one) => [one.type, one as never]),
);

export class FakeActors {
  private readonly states = new Map<string, State>();

  constructor(private readonly now: () => number = () => Date.now()) {}

  has(type: string): boolean {
    return definitions.has(type);
  }

  ask(to: Address, command: Command): Answer {
    const definition = definitions.get(to.type) as ActorDefinition;
    const key = `${to.type}/${to.key}`;
    const stepped = step(definition, this.states.get(key) ?? absent(definition), command, to, this.now());
    if (stepped.refusal !== undefined) throw new TroupeError(stepped.refusal.code, stepped.refusal.message);
    if (stepped.unhandled) throw new TroupeError(this.states.has(key) ? "conflict" : "not_found", command.type);
    this.states.set(key, stepped.state);
    const reply = stepped.effects.find((effect) => effect.type === "reply")?.value ?? null;
    return { reply, view: this.viewOf(to) as Json, step: 1 };
  }

  /** null: never made. */
  viewOf(at: Address): Json {
    const definition = definitions.get(at.type);
    const state = this.states.get(`${at.type}/${at.key}`);
    if (definition === undefined || state === undefined) return null;
    return definition.view?.(state) ?? (state.context as Json);
  }

  list(type: string): { address: Address; view: Json }[] {
    return [...this.states.keys()]
      .filter((key) => key.startsWith(`${type}/`))
      .map((key) => ({ type, key: key.slice(type.length + 1) }))
      .map((address) => ({ address, view: this.viewOf(address) }))
      .reverse();
  }
}
