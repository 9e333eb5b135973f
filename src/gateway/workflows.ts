/**
 * Look-up of workflow definitions: the latest version by name from the actor, definitions of a
 * version from a cache (they never change). Owns no registration.
 */
import { LRUCache } from "lru-cache";
import type { Runtime } from "../actors/client.ts";
import { address, isKey } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import type { WorkflowContext, WorkflowVersionContext } from "../machines/workflow/machine.ts";
import type { WorkflowDefinition } from "../machines/workflow/schema.ts";
import { readAfterEvent } from "./after-event.ts";
import type { GatewayClock } from "./config.ts";

export interface WorkflowVersion {
  readonly name: string;
  readonly version: string;
  readonly hash: string;
  readonly definition: WorkflowDefinition;
}

export interface Workflows {
  /** The named version, or the latest. Throws `not_found`. */
  find(name: string, version: string | undefined): Promise<WorkflowVersion>;
}

const cachedMax = 200;

export function newWorkflows(runtime: Pick<Runtime, "read">, clock: GatewayClock): Workflows {
  const cache = new LRUCache<string, WorkflowVersion>({ max: cachedMax });
  return {
    async find(name, version) {
      const wanted = version ?? (await latestOf(runtime, name));
      const key = `${name}~${wanted}`;
      const known = cache.get(key);
      if (known !== undefined) return known;
      const absent = () => missing(name, version);
      const view = (await readOrMissing(runtime, "workflow_version", key, absent).catch(async (error: unknown) => {
        // A version is an actor of its own, which hears by mail that it was registered.
        if (!(await isRegistered(runtime, name, wanted, absent))) throw error;
        return readAfterEvent({ runtime, clock }, address("workflow_version", key));
      })) as unknown as WorkflowVersionContext;
      const found = { name, version: wanted, hash: view.hash, definition: view.definition };
      cache.set(key, found);
      return found;
    },
  };
}

async function latestOf(runtime: Pick<Runtime, "read">, name: string): Promise<string> {
  return (await workflowOf(runtime, name, () => missing(name, undefined))).latest;
}

async function isRegistered(
  runtime: Pick<Runtime, "read">,
  name: string,
  version: string,
  absent: () => TroupeError,
): Promise<boolean> {
  return (await workflowOf(runtime, name, absent)).versions.some((one) => one.version === version);
}

async function workflowOf(
  runtime: Pick<Runtime, "read">,
  name: string,
  absent: () => TroupeError,
): Promise<WorkflowContext> {
  return (await readOrMissing(runtime, "workflow", name, absent)) as unknown as WorkflowContext;
}

/** Reads a view; an id that cannot be one is as absent as one that is not there. */
export async function readOrMissing(
  runtime: Pick<Runtime, "read">,
  type: string,
  key: string,
  absent: () => TroupeError,
): Promise<Json> {
  if (!isKey(key)) throw absent();
  try {
    return (await runtime.read(address(type, key))).view;
  } catch (error) {
    if (error instanceof TroupeError && error.code === "not_found") throw absent();
    throw error;
  }
}

function missing(name: string, version: string | undefined): TroupeError {
  const what = version === undefined ? `workflow '${name}'` : `workflow '${name}' in version '${version}'`;
  return new TroupeError("not_found", `There is no ${what}`, { workflow: name, ...(version && { version }) });
}
