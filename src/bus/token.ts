/**
 * Any text as one NATS subject token, and back. Owns the escaping only; what the tokens of a
 * subject mean is for those who build the subject.
 */
const SAFE = /^[A-Za-z0-9_~-]+$/;
const LONE_SURROGATE = /[\uD800-\uDFFF]/u;
const HEX = "0123456789ABCDEF";
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Escapes text to a token of [A-Za-z0-9_~-] and `=XX` (upper-case hex of a UTF-8 byte) for all else.
 * Two texts never share a token. Throws RangeError for empty text and for lone surrogates.
 */
export function toToken(text: string): string {
  if (SAFE.test(text)) return text;
  if (text === "") throw new RangeError("Empty text cannot be a subject token.");
  if (LONE_SURROGATE.test(text)) throw new RangeError("Text with a lone surrogate cannot be a subject token.");
  let out = "";
  for (const byte of encoder.encode(text)) {
    out += isSafe(byte) ? String.fromCharCode(byte) : `=${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return out;
}

/** The text of a token that `toToken` made. Throws RangeError for anything else. */
export function fromToken(token: string): string {
  if (SAFE.test(token)) return token;
  const bytes = new Uint8Array(token.length);
  let length = 0;
  for (let i = 0; i < token.length; i++) {
    let byte = token.charCodeAt(i);
    if (byte === 0x3d) {
      const high = HEX.indexOf(token.charAt(i + 1));
      const low = HEX.indexOf(token.charAt(i + 2));
      i += 2;
      byte = high * 16 + low;
      if (i >= token.length || high < 0 || low < 0 || isSafe(byte)) throw malformed(token);
    } else if (!isSafe(byte)) {
      throw malformed(token);
    }
    bytes[length++] = byte;
  }
  if (length === 0) throw malformed(token);
  try {
    return decoder.decode(bytes.subarray(0, length));
  } catch {
    throw malformed(token);
  }
}

/** [A-Za-z0-9_~-] */
function isSafe(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x5f ||
    byte === 0x7e ||
    byte === 0x2d
  );
}

function malformed(token: string): RangeError {
  return new RangeError(`Not an escaped subject token: ${JSON.stringify(token)}.`);
}
