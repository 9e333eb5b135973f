/**
 * The shape of Troupe's own ids: 10 characters of time and 16 random ones, base32 in lower case,
 * so that they sort by time of creation (as a ULID does). Pure; time and randomness are given.
 */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** 26 characters of [0-9a-z]. `random`: at least 16 bytes, of which 5 bits each are used. */
export function makeId(timeMs: number, random: Uint8Array): string {
  let time = Math.max(0, Math.floor(timeMs));
  let head = "";
  for (let i = 0; i < 10; i++) {
    head = ALPHABET.charAt(time % 32) + head;
    time = Math.floor(time / 32);
  }
  let tail = "";
  for (let i = 0; i < 16; i++) tail += ALPHABET.charAt((random[i] ?? 0) & 31);
  return head + tail;
}
