/**
 * What a simulation may do to a single call of a port. The drivers ask before each call; without
 * faults everything works. Which fault when is the simulation's choice, by its own seed.
 */
export interface FaultCall {
  /** The node that calls. */
  readonly node: string;
  readonly port: "journal" | "records" | "registry" | "blobs" | "wire";
  /** `append`, `last`, `put`, `publish`, `request`, `reply`… as the port names it. */
  readonly operation: string;
  /** What it is about: partition, key, blob's name or subject. */
  readonly about: string;
}

export type Fault =
  /** The call reaches the other side this much later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** It never gets there: a write is unknown and not stored, a message is lost. */
  | { readonly kind: "drop" }
  /** Wire only: it gets there twice. */
  | { readonly kind: "duplicate" }
  /** The stream or subject has nobody who answers just now; nothing is stored. */
  | { readonly kind: "no_responders" }
  /** Writes only: the store is full; nothing is stored. */
  | { readonly kind: "full" }
  /** Writes only: stored, but the answer is lost. */
  | { readonly kind: "answer_lost" }
  /** Writes only: no answer, and stored so much later, if what it expects holds then. */
  | { readonly kind: "stored_late"; readonly ms: number };

export interface Faults {
  /** Called once per call; undefined: no fault. */
  next(call: FaultCall): Fault | undefined;
}
