/**
 * What a dialect's route is: a foreign shape over Troupe's own operations. A route has no state; it maps its
 * input to an operation's and the result back. Error shapes are in `error-shape.ts`.
 */
import { z } from "zod";
import type { ErrorCode } from "../machines/errors.ts";
import { type Described, defineOperation, type Operation, type OperationContext } from "./operation.ts";
import { coreOperations } from "./operations/index.ts";

/** The published contracts, each a tag of the OpenAPI document. */
export const dialectTags = {
  "000": "contract 000: agent runtime",
  "001": "contract 001: agent communication",
  "002": "contract 002: runs",
  "003": "contract 003: AG-UI",
  "004": "contract 004: multi-agent platform",
} as const;
export type Dialect = keyof typeof dialectTags;

export const dialectDescriptions: Readonly<Record<string, string>> = {
  [dialectTags["000"]]: "Execute a prompt, ask for its status, cancel it.",
  [dialectTags["001"]]: "Agents, tasks, workflows of stages, requests and publications.",
  [dialectTags["002"]]: "Runs of workflows, their events, checkpoints and artifacts: Troupe's own paths.",
  [dialectTags["003"]]: "Runs as AG-UI events.",
  [dialectTags["004"]]: "Agents, tasks, resources, conflicts, workflows of steps, dashboard.",
};

/** Troupe's own groups, then those of the published contracts. */
export function tagsOf(operations: readonly Operation[]): { readonly own: string[]; readonly published: string[] } {
  const used = new Set(operations.flatMap((one) => one.tags));
  const published = Object.values(dialectTags).filter((tag) => used.has(tag));
  return { own: [...used].filter((tag) => !published.some((one) => one === tag)), published };
}

type Common = Omit<Described, "tags" | "errors" | "scope" | "lenient">;

export interface RouteSpec<I extends z.ZodObject, O extends z.ZodType> extends Common {
  /** Which contracts have this path; a shared one has one route. */
  readonly dialects: readonly Dialect[];
  /** Fields unknown to it are left out, as the published systems do. */
  readonly input: I;
  readonly output: O;
  /** Default: those of the operation named by `via`. */
  readonly errors?: readonly ErrorCode[];
  /** Default: that of the operation named by `via`. */
  readonly scope?: string | null;
}

/** A route that is one operation in other words. */
export interface MappedRoute<I extends z.ZodObject, O extends z.ZodType, R> extends RouteSpec<I, O> {
  /** The core operation's name. */
  readonly via: string;
  toInput(input: z.output<I>, ctx: OperationContext): unknown;
  fromOutput(output: R, input: z.output<I>, ctx: OperationContext): z.input<O> | Promise<z.input<O>>;
}

/** A route that needs more than one operation. */
export interface HandledRoute<I extends z.ZodObject, O extends z.ZodType> extends RouteSpec<I, O> {
  readonly errors: readonly ErrorCode[];
  readonly scope: string | null;
  handle(ctx: OperationContext, input: z.output<I>): Promise<z.input<O>>;
}

const byName = new Map<string, Operation>();

/** True when there is such a core operation. */
export function hasOperation(name: string): boolean {
  return coreOperations.some((one) => one.name === name);
}

/** The core operation of this name; one that is not there is a mistake of the programmer. */
export function coreOperation(name: string): Operation {
  if (byName.size === 0) for (const one of coreOperations) byName.set(one.name, one);
  const found = byName.get(name);
  if (found === undefined) throw new Error(`no operation ${name}`);
  return found;
}

/** Runs a core operation with the caller's own credential: its scope and its rules hold. */
export async function call<R>(ctx: OperationContext, name: string, input: unknown): Promise<R> {
  return (await coreOperation(name).run(ctx, input)) as R;
}

const described = ({ dialects }: { readonly dialects: readonly Dialect[] }) => ({
  tags: dialects.map((one) => dialectTags[one]),
  lenient: true,
});

/** A route as an entry of the table, over one operation. */
export function mapRoute<I extends z.ZodObject, O extends z.ZodType, R>(spec: MappedRoute<I, O, R>): Operation {
  const { via, toInput, fromOutput, ...rest } = spec;
  const core = coreOperation(via);
  return defineOperation({
    ...rest,
    ...described(spec),
    errors: spec.errors ?? core.errors,
    scope: spec.scope === undefined ? core.scope : spec.scope,
    ...(core.readOnly === true && { readOnly: true as const }),
    input: spec.input,
    output: spec.output,
    handle: async (ctx, input) => fromOutput((await core.run(ctx, toInput(input, ctx))) as R, input, ctx),
  });
}

/** A route as an entry of the table, over as many operations as it calls. */
export function defineRoute<I extends z.ZodObject, O extends z.ZodType>(spec: HandledRoute<I, O>): Operation {
  return defineOperation({ ...spec, ...described(spec) });
}

/** Any JSON object of the outside: kept as it is, so that every field it came with stays. */
export const answer = z.looseObject({});
