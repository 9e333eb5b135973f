/** Port Random of the NATS driver: the operating system's randomness, the server's time in ids. */
import { randomFillSync } from "node:crypto";
import type { Clock, Random } from "../clock.ts";
import { makeId } from "../id.ts";

const POOL_BYTES = 4096;
const ID_BYTES = 16;

export class NatsRandom implements Random {
  /** Filled at once: asking the system for every id would cost more than the id. */
  private readonly pool = Buffer.alloc(POOL_BYTES);
  private used = POOL_BYTES;

  constructor(private readonly clock: Pick<Clock, "now">) {}

  id(): string {
    return makeId(this.clock.now(), this.take(ID_BYTES));
  }

  float(): number {
    return this.take(6).readUIntBE(0, 6) / 2 ** 48;
  }

  private take(count: number): Buffer {
    if (this.used + count > POOL_BYTES) {
      randomFillSync(this.pool);
      this.used = 0;
    }
    this.used += count;
    return this.pool.subarray(this.used - count, this.used);
  }
}
