/**
 * Port: large values (over 64 KiB), in the object store. A blob is named `<root>/<id>`, written
 * before the command that mentions it, never changed, and lives as long as its root.
 */
export interface BlobInfo {
  readonly name: string;
  readonly size: number;
}

export interface Blobs {
  /** Stores the whole; writing the same name with the same bytes again is harmless. Throws BusError on failure. */
  put(name: string, bytes: Uint8Array): Promise<BlobInfo>;
  /** The whole, or null when there is none. Throws when the stored digest does not match. */
  get(name: string): Promise<Uint8Array | null>;
  /** In pieces, for downloads; null when there is none. */
  stream(name: string): Promise<AsyncIterable<Uint8Array> | null>;
  /** Those of one root; null: all. */
  list(root: string | null): Promise<BlobInfo[]>;
  remove(name: string): Promise<void>;
}
