/** Port Blobs in memory. */
import type { BlobInfo, Blobs } from "../blobs.ts";
import { BusError } from "../bus.ts";
import type { Link } from "./link.ts";
import type { MemoryStore } from "./store.ts";

const CHUNK_BYTES = 512 * 1024;

export class MemoryBlobs implements Blobs {
  constructor(
    private readonly store: MemoryStore,
    private readonly link: Link,
  ) {}

  async put(name: string, bytes: Uint8Array): Promise<BlobInfo> {
    const sent = bytes.slice();
    const outcome = await this.link.write({ port: "blobs", operation: "put", about: name }, () => {
      this.store.blobs.set(name, sent);
      return { kind: "stored" as const };
    });
    if (outcome.kind === "stored") return { name, size: bytes.length };
    const code = outcome.kind === "full" ? "storage_full" : "unreachable";
    throw new BusError(code, `The blob ${name} was not stored: ${outcome.reason}.`);
  }

  async get(name: string): Promise<Uint8Array | null> {
    const call = { port: "blobs", operation: "get", about: name } as const;
    return this.link.read(call, () => this.store.blobs.get(name)?.slice() ?? null);
  }

  async stream(name: string): Promise<AsyncIterable<Uint8Array> | null> {
    const whole = await this.get(name);
    return whole && chunks(whole);
  }

  async list(root: string | null): Promise<BlobInfo[]> {
    return this.link.read({ port: "blobs", operation: "list", about: root ?? "" }, () =>
      [...this.store.blobs]
        .filter(([name]) => root === null || name.startsWith(`${root}/`))
        .map(([name, bytes]) => ({ name, size: bytes.length }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  }

  async remove(name: string): Promise<void> {
    await this.link.read({ port: "blobs", operation: "remove", about: name }, () => this.store.blobs.delete(name));
  }
}

async function* chunks(whole: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < whole.length; at += CHUNK_BYTES) yield whole.subarray(at, at + CHUNK_BYTES);
}
