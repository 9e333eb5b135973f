/**
 * An actor's address: `type/key`. The part of the key before the first `~` is its root;
 * actors of one root share a partition, so their mail joins one commit. A root never changes.
 */
export interface Address {
  readonly type: string;
  /** 1–200 characters without control characters; `<root>` or `<root>~<local>`. */
  readonly key: string;
}

export const keyCharsMax = 200;

export function address(type: string, key: string): Address {
  return { type, key };
}

/** The root of a key: what stands before the first `~`, or the whole key. */
export function rootOf(key: string): string {
  const cut = key.indexOf("~");
  return cut < 0 ? key : key.slice(0, cut);
}

/** What stands behind the root, or an empty string for a root itself. */
export function localOf(key: string): string {
  const cut = key.indexOf("~");
  return cut < 0 ? "" : key.slice(cut + 1);
}

/** `type/key`, the form used in logs, maps and the command line. */
export function formatAddress(a: Address): string {
  return `${a.type}/${a.key}`;
}

export function parseAddress(text: string): Address {
  const cut = text.indexOf("/");
  if (cut <= 0 || cut === text.length - 1) throw new Error(`not an address: ${text}`);
  return { type: text.slice(0, cut), key: text.slice(cut + 1) };
}

/** True when the key may name an actor: length within bounds and no control characters. */
export function isKey(key: string): boolean {
  return key.length > 0 && key.length <= keyCharsMax && !/[\p{Cc}\p{Cs}]/u.test(key) && !key.startsWith("~");
}
