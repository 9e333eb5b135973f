/**
 * The calls that are open now: how many streams one credential may have, and how all end when the server closes.
 * The bounds are those of WebSocket connections.
 */
import { TroupeError } from "../../machines/errors.ts";
import type { Credential } from "../auth/credential.ts";
import type { GatewayLimits } from "../config.ts";

type Bounds = Pick<GatewayLimits, "wsClientsMax" | "wsClientsPerCredentialMax">;

export class OpenCalls {
  /** Set when the server closes: new calls are refused. */
  closing = false;
  readonly #bounds: Bounds;
  readonly #aborts = new Set<AbortController>();
  readonly #byCredential = new Map<string, number>();
  #streams = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** A call begins; the returned function ends it. */
  add(abort: AbortController): () => void {
    this.#aborts.add(abort);
    return () => void this.#aborts.delete(abort);
  }

  /** Throws `overloaded` when there are too many streams; the returned function ends this one. */
  addStream({ id, kind, name }: Credential): () => void {
    const { wsClientsMax, wsClientsPerCredentialMax } = this.#bounds;
    if (this.#streams >= wsClientsMax) throw new TroupeError("overloaded", `${wsClientsMax} streams are open`);
    const mine = this.#byCredential.get(id) ?? 0;
    if (kind !== "local" && mine >= wsClientsPerCredentialMax) {
      throw new TroupeError("overloaded", `Credential '${name}' has ${wsClientsPerCredentialMax} streams open`);
    }
    this.#streams++;
    this.#byCredential.set(id, mine + 1);
    return () => {
      this.#streams--;
      const left = (this.#byCredential.get(id) ?? 1) - 1;
      if (left === 0) this.#byCredential.delete(id);
      else this.#byCredential.set(id, left);
    };
  }

  /** What waits or streams ends; what it began goes on. */
  close(): void {
    this.closing = true;
    for (const abort of this.#aborts) abort.abort("closing");
  }
}
