/**
 * Members of JSON objects as they stand in the text: how many there are, and which name stands twice in one object.
 * `JSON.parse` keeps the last of them without a word. Texts must be JSON already; builds no values.
 */

const [quote, backslash, colon, open, close] = [0x22, 0x5c, 0x3a, 0x7b, 0x7d];
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** The place after the string that begins at `at`. */
function endOfString(bytes: Uint8Array, at: number): number {
  let i = at + 1;
  while (bytes[i] !== quote) i += bytes[i] === backslash ? 2 : 1;
  return i + 1;
}

function isName(bytes: Uint8Array, after: number): boolean {
  let i = after;
  while (isSpace(bytes[i])) i++;
  return bytes[i] === colon;
}

/** How many members all objects of the text have together. */
export function countMembers(bytes: Uint8Array): number {
  let members = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== quote) continue;
    i = endOfString(bytes, i) - 1;
    if (isName(bytes, i + 1)) members++;
  }
  return members;
}

/** The first name that stands twice in its object; undefined: none does. */
export function repeatedName(bytes: Buffer): string | undefined {
  const objects: Set<string>[] = [];
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === open) objects.push(new Set());
    else if (bytes[i] === close) objects.pop();
    if (bytes[i] !== quote) continue;
    const end = endOfString(bytes, i);
    if (isName(bytes, end)) {
      const name = JSON.parse(bytes.toString("utf8", i, end)) as string;
      const names = objects.at(-1);
      if (names?.has(name) === true) return name;
      names?.add(name);
    }
    i = end - 1;
  }
  return undefined;
}
