/**
 * Which node should own a partition: rendezvous hashing, so that a node that leaves or joins
 * moves only its own share. Pure.
 */

/** FNV-1a, 32 bits: small, stable over versions (placement of stored actors depends on it), good enough to spread. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    hash = Math.imul(hash ^ (code & 0xff), 0x01000193);
    if (code > 0xff) hash = Math.imul(hash ^ (code >> 8), 0x01000193);
  }
  // A last mix: FNV's low bits alone spread short keys poorly.
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  hash ^= hash >>> 13;
  return hash >>> 0;
}

/** The partition of a root. */
export function partitionOf(root: string, partitions: number): number {
  return hash32(root) % partitions;
}

/** The member that should own the partition; undefined when there is none. */
export function ownerOf(partition: number, boots: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestWeight = -1;
  for (const boot of boots) {
    const weight = hash32(`${boot}/${partition}`);
    if (weight > bestWeight || (weight === bestWeight && best !== undefined && boot < best)) {
      best = boot;
      bestWeight = weight;
    }
  }
  return best;
}
