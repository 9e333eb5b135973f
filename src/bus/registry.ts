/**
 * Port: small, rarely written, compare-and-set entries: leases, members and the cluster's settings. Keys are
 * dot-separated tokens of [A-Za-z0-9_-]. No expiry by the server: who observes a lease counts
 * on its own monotonic clock how long a revision stayed unchanged.
 */
export interface RegistryEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Changes with every write; deleting leaves a revision of its own. */
  readonly revision: number;
}

export type RegistryWrite =
  | { readonly kind: "stored"; readonly revision: number }
  | { readonly kind: "refused" }
  | { readonly kind: "unknown"; readonly reason: string };

export interface Registry {
  get(key: string): Promise<RegistryEntry | null>;
  /** All entries whose key starts with `prefix` (whole tokens, without the dot at the end). */
  list(prefix: string): Promise<RegistryEntry[]>;
  /** Creates the key; refused when it exists (a deleted key may be created again). */
  create(key: string, value: Uint8Array): Promise<RegistryWrite>;
  /** Writes over exactly this revision. */
  update(key: string, value: Uint8Array, revision: number): Promise<RegistryWrite>;
  remove(key: string, revision: number): Promise<RegistryWrite>;
}
