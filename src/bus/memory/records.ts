/** Port Records in memory. */
import type { RecordEntry, RecordName, Records, RecordWrite } from "../records.ts";
import { requireFits } from "./journal.ts";
import type { Link } from "./link.ts";
import type { MemoryStore } from "./store.ts";

export class MemoryRecords implements Records {
  constructor(
    private readonly store: MemoryStore,
    private readonly link: Link,
    readonly payloadBytesMax: number,
  ) {}

  async get(partition: number, name: RecordName): Promise<RecordEntry | null> {
    return this.link.read(call("get", partition, name), () => {
      const record = this.store.recordsOf(partition).get(name.join("\0"));
      return record ? { bytes: record.bytes, seq: record.seq } : null;
    });
  }

  async lastSeq(partition: number): Promise<number> {
    return this.link.read(call("lastSeq", partition, []), () => this.store.lastRecordSeq(partition));
  }

  async put(partition: number, name: RecordName, bytes: Uint8Array, expectedSeq: number): Promise<RecordWrite> {
    requireFits(bytes, this.payloadBytesMax);
    const sent = bytes.slice();
    return this.link.write(call("put", partition, name), () =>
      this.store.putRecord(partition, name, sent, expectedSeq),
    );
  }

  async remove(partition: number, name: RecordName, upToSeq: number): Promise<void> {
    await this.link.read(call("remove", partition, name), () => {
      const records = this.store.recordsOf(partition);
      const key = name.join("\0");
      if ((records.get(key)?.seq ?? Number.POSITIVE_INFINITY) <= upToSeq) records.delete(key);
    });
  }

  async *scan(partition: number, prefix: RecordName): AsyncGenerator<{ name: RecordName } & RecordEntry, void, void> {
    const found = await this.link.read(call("scan", partition, prefix), () =>
      [...this.store.recordsOf(partition).values()].filter(({ name }) => prefix.every((token, i) => name[i] === token)),
    );
    yield* found;
  }
}

function call(operation: string, partition: number, name: RecordName) {
  return { port: "records", operation, about: `${partition}/${name.join("/")}` } as const;
}
