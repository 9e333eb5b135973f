/** Port Registry in memory. */
import type { Registry, RegistryEntry, RegistryWrite } from "../registry.ts";
import type { Link } from "./link.ts";
import type { MemoryStore } from "./store.ts";

export class MemoryRegistry implements Registry {
  constructor(
    private readonly store: MemoryStore,
    private readonly link: Link,
  ) {}

  async get(key: string): Promise<RegistryEntry | null> {
    return this.link.read(call("get", key), () => this.entry(key));
  }

  async list(prefix: string): Promise<RegistryEntry[]> {
    return this.link.read(call("list", prefix), () =>
      [...this.store.keys.keys()]
        .filter((key) => key === prefix || key.startsWith(`${prefix}.`))
        .sort()
        .flatMap((key) => this.entry(key) ?? []),
    );
  }

  create(key: string, value: Uint8Array): Promise<RegistryWrite> {
    return this.write("create", key, () => {
      const present = this.store.keys.get(key);
      return this.store.putKey(key, value, present?.value === null ? present.revision : 0);
    });
  }

  update(key: string, value: Uint8Array, revision: number): Promise<RegistryWrite> {
    return this.write("update", key, () => this.store.putKey(key, value, revision));
  }

  remove(key: string, revision: number): Promise<RegistryWrite> {
    return this.write("remove", key, () => this.store.putKey(key, null, revision));
  }

  private async write(
    operation: string,
    key: string,
    store: () => ReturnType<MemoryStore["putKey"]>,
  ): Promise<RegistryWrite> {
    const outcome = await this.link.write(call(operation, key), store);
    switch (outcome.kind) {
      case "stored":
        return { kind: "stored", revision: outcome.seq };
      case "refused":
        return { kind: "refused" };
      default:
        return { kind: "unknown", reason: outcome.reason };
    }
  }

  private entry(key: string): RegistryEntry | null {
    const found = this.store.keys.get(key);
    return found?.value ? { key, value: found.value, revision: found.revision } : null;
  }
}

function call(operation: string, key: string) {
  return { port: "registry", operation, about: key } as const;
}
