/**
 * Two charts: a workflow (its name, and which versions there are), and one version (its
 * definition, which never changes). Runs keep the version that they began with.
 */
import { assertEvent, assign, setup } from "xstate";
import { address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, refuse, reply, send } from "../effects.ts";
import { type Planned, planned, type WithMeta } from "../planned.ts";
import { describeIssues, parseWorkflow } from "./check.ts";
import { type VersionRegister, versionsMax, type WorkflowDefinition, type WorkflowRegister } from "./schema.ts";
import { compareVersions } from "./semver.ts";

export interface WorkflowContext {
  readonly name: string;
  /** The highest version, a release before any pre-release. */
  readonly latest: string;
  readonly hash: string;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly versions: readonly { readonly version: string; readonly hash: string; readonly createdAt: number }[];
  readonly createdAt: number;
}

export interface WorkflowVersionContext {
  readonly name: string;
  readonly version: string;
  readonly hash: string;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly definition: WorkflowDefinition;
  readonly createdAt: number;
}

type RegisterEvent = WithMeta<WorkflowRegister>;
type VersionEvent = WithMeta<VersionRegister>;

/** The address of a workflow's version. */
export const versionAddress = (name: string, version: string) => address("workflow_version", `${name}~${version}`);

/** Adds a version: checked, new by its number, told to the version's own actor in the same commit. */
function register(context: Partial<WorkflowContext>, event: RegisterEvent): Planned<Partial<WorkflowContext>> {
  const refused = (...effect: Parameters<typeof refuse>) => ({ context, effects: [refuse(...effect)] });
  const parsed = parseWorkflow(event.definition);
  if (!parsed.ok)
    return refused("invalid_input", describeIssues(parsed.issues), { issues: parsed.issues as unknown as Json });
  const { definition } = parsed;
  const { name, version } = definition;
  if (name !== event.meta.self.key) return refused("invalid_input", `name: is ${name}, not ${event.meta.self.key}`);
  const versions = context.versions ?? [];
  const known = versions.find((v) => v.version === version);
  if (known?.hash === event.hash) return { context, effects: [reply({ created: false })] };
  if (known !== undefined)
    return refused("already_exists", `${name}@${version} exists with another definition`, { hash: known.hash });
  if (versions.length >= versionsMax) return refused("overloaded", `a workflow has at most ${versionsMax} versions`);
  const isLatest = context.latest === undefined || compareVersions(version, context.latest) > 0;
  return {
    context: {
      ...context,
      name,
      createdAt: context.createdAt ?? event.meta.now,
      versions: [...versions, { version, hash: event.hash, createdAt: event.meta.now }],
      ...(isLatest
        ? {
            latest: version,
            hash: event.hash,
            description: definition.description ?? null,
            tags: definition.tags ?? [],
          }
        : {}),
    },
    effects: [
      reply({ created: true }),
      emit("registered", { version, hash: event.hash }),
      send(versionAddress(name, version), {
        type: "workflow_version.register",
        definition: definition as unknown as Json,
        hash: event.hash,
      }),
    ],
  };
}

const workflowSetup = setup({
  types: { context: {} as WorkflowContext, events: {} as RegisterEvent },
  actions: { register: planned(register) },
});

/** A refused first registration leaves nothing, since the runtime drops a refused step whole. */
export const workflowMachine = workflowSetup.createMachine({
  id: "workflow",
  context: {} as WorkflowContext,
  initial: "absent",
  states: {
    absent: { on: { "workflow.register": { target: "present", actions: "register" } } },
    present: { on: { "workflow.register": { actions: "register" } } },
  },
});

const versionSetup = setup({
  types: { context: {} as WorkflowVersionContext, events: {} as VersionEvent },
  guards: {
    isSame: ({ context, event }) => context.hash === event.hash,
  },
  actions: {
    keep: assign(({ event }) => {
      assertEvent(event, "workflow_version.register");
      const definition = event.definition as unknown as WorkflowDefinition;
      const { name, version, description, tags } = definition;
      return {
        name,
        version,
        hash: event.hash,
        description: description ?? null,
        tags: tags ?? [],
        definition,
        createdAt: event.meta.now,
      };
    }),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseOther: effects(() => [refuse("already_exists", "this version exists with another definition")]),
  },
});

export const workflowVersionMachine = versionSetup.createMachine({
  id: "workflow_version",
  context: {} as WorkflowVersionContext,
  initial: "absent",
  states: {
    absent: { on: { "workflow_version.register": { target: "present", actions: "keep" } } },
    present: {
      on: {
        "workflow_version.register": [{ guard: "isSame", actions: "replyExisting" }, { actions: "refuseOther" }],
      },
    },
  },
});

export const workflowDefinition: ActorDefinition<WorkflowContext> = {
  type: "workflow",
  version: 1,
  machine: workflowMachine,
  kind: (context) => context.name,
  index: ({ context }) => ({ name: context.name, tags: context.tags, created: context.createdAt }),
  view: ({ context }) => context as unknown as Json,
};

export const workflowVersionDefinition: ActorDefinition<WorkflowVersionContext> = {
  type: "workflow_version",
  version: 1,
  machine: workflowVersionMachine,
  kind: (context) => context.name,
  index: () => null,
  view: ({ context }) => context as unknown as Json,
};
