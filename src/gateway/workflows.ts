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

export function newWorkflows(runtime: Runtime): Workflows {
  const cache = new LRUCache<string, WorkflowVersion>({ max: cachedMax });
  return {
    async find(name, version) {
      const wanted = version ?? (await latestOf(runtime, name));
      const key = `${name}~${wanted}`;
      const known = cache.get(key);
      if (known !== undefined) return known;
      const absent = () => missing(name, version);
      const view = (await readOrMissing(runtime, "workflow_version", key, absent)) as unknown as WorkflowVersionContext;
      const found = { name, version: wanted, hash: view.hash, definition: view.definition };
      cache.set(key, found);
      return found;
    },
  };
}

async function latestOf(runtime: Runtime, name: string): Promise<string> {
  const view = await readOrMissing(runtime, "workflow", name, () => missing(name, undefined));
  return (view as unknown as WorkflowContext).latest;
}

/** Reads a view; an id that cannot be one is as absent as one that is not there. */
export async function readOrMissing(
  runtime: Runtime,
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
