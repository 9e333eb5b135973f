/**
 * A stored API key: its hash, name, scopes and limit, until it is revoked. It never holds the key itself,
 * and stays when it is revoked, so that a store that once had a key is never open again by itself.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, refuse, reply } from "../effects.ts";
import type { WithMeta } from "../planned.ts";

export const credentialType = "credential";

export const credentialCreateSchema = z.object({
  type: z.literal("credential.create"),
  name: z.string().min(1).max(64),
  /** SHA-256 of the key's secret part, hexadecimal. The secret has 256 bits of chance: no slow hash is needed. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.string().min(1).max(64)).max(64),
  /** Requests a minute; null: none; absent: the gateway's default. */
  rateLimit: z.int().min(1).max(1_000_000_000).nullable().optional(),
  createdBy: z.string(),
});
export type CredentialCreate = z.output<typeof credentialCreateSchema>;

export type CredentialCommand = CredentialCreate | { readonly type: "credential.revoke"; readonly by: string };

export interface CredentialContext extends Omit<CredentialCreate, "type"> {
  readonly createdAt: number;
  readonly revokedAt: number | null;
  readonly revokedBy: string | null;
}

type Event = WithMeta<CredentialCommand>;

const machine = setup({
  types: { context: {} as CredentialContext, events: {} as Event },
  guards: { isMalformed: ({ event }) => !credentialCreateSchema.safeParse(event).success },
  actions: {
    keep: assign(({ event }) => {
      assertEvent(event, "credential.create");
      const { type: _, ...kept } = credentialCreateSchema.parse(event);
      return { ...kept, createdAt: event.meta.now, revokedAt: null, revokedBy: null };
    }),
    end: assign(({ event }) => {
      assertEvent(event, "credential.revoke");
      return { revokedAt: event.meta.now, revokedBy: event.by };
    }),
    tellCreated: effects<CredentialContext, Event>(({ context }) => [
      emit("created", { name: context.name }),
      reply(null),
    ]),
    tellRevoked: effects<CredentialContext, Event>(({ context }) => [
      emit("revoked", { name: context.name }),
      reply(null),
    ]),
    acknowledge: effects(() => [reply(null)]),
    refuseMalformed: effects(() => [refuse("invalid_input", "the credential is not well-formed")]),
    refuseAgain: effects(() => [refuse("already_exists", "a credential's id is used once")]),
  },
}).createMachine({
  id: credentialType,
  context: {} as CredentialContext,
  initial: "absent",
  states: {
    absent: {
      on: {
        "credential.create": [
          { guard: "isMalformed", actions: "refuseMalformed" },
          { target: "active", actions: ["keep", "tellCreated"] },
        ],
      },
    },
    active: {
      on: {
        "credential.create": { actions: "refuseAgain" },
        "credential.revoke": { target: "revoked", actions: ["end", "tellRevoked"] },
      },
    },
    revoked: {
      on: { "credential.create": { actions: "refuseAgain" }, "credential.revoke": { actions: "acknowledge" } },
    },
  },
});

export type CredentialView = CredentialContext & { readonly status: "active" | "revoked" };

export const credentialDefinition: ActorDefinition<CredentialContext> = {
  type: credentialType,
  version: 1,
  machine,
  kind: () => "key",
  index: ({ value, context }) => ({ status: String(value), name: context.name, created: context.createdAt }),
  view: ({ value, context }) => ({ status: String(value), ...context }) as unknown as Json,
};
