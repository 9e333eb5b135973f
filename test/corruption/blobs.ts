/** Tasks whose inputs are large values. */
import { startHost } from "../../src/actors/host.ts";
import type { MemoryStore } from "../../src/bus/memory/store.ts";
import { definitions } from "../../src/machines/index.ts";
import { quiet } from "../actors/support.ts";
import { busOver, settled } from "./support.ts";

export async function references(store: MemoryStore) {
  const settings = { leaseMs: 400, flushMs: 20, replayBytes: 1 << 20, activeMax: 1000 };
  const host = await startHost({ bus: busOver(store), definitions, settings, logger: quiet, name: "test" });
  const names: string[] = [];
  for (const fill of [1, 2]) {
    const key = `task_${fill}`;
    const ref = await host.runtime.values.putBytes(key, new Uint8Array(80_000).fill(fill));
    names.push(ref.$blob.name);
    const command = { type: "task.create", taskType: "nobody", input: ref, metadata: {}, requestHash: key };
    await host.runtime.ask({ type: "task", key }, command);
  }
  await settled(host);
  return { host, names };
}
