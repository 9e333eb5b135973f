/**
 * An XState action for steps whose new context and effects come out of one computation (a run's
 * planning): `effects()` and `assign` in one. Owns no rule of any actor.
 */
import { enqueueActions } from "xstate";
import type { Effect, StepMeta } from "./effects.ts";

/** A command as a machine sees it: with what the runtime added. */
export type WithMeta<E> = E & { readonly meta: StepMeta };

export interface Planned<C> {
  readonly context: C;
  readonly effects: readonly Effect[];
}

/** Applies `fn`: its context replaces the old one, its effects are yielded in order. */
// biome-ignore lint/suspicious/noExplicitAny: XState's action generics cannot be named here; callers are typed by `fn`.
export function planned<C, E>(fn: (context: C, event: E) => Planned<C>): any {
  // biome-ignore lint/suspicious/noExplicitAny: see above
  return enqueueActions(({ context, event, enqueue }: any) => {
    const next = fn(context, event);
    if (next.context !== context) enqueue.assign(next.context);
    for (const effect of next.effects) enqueue.emit(effect);
  });
}
