/**
 * The client's side of the WebSocket protocol (RFC 6455) as far as a counter needs it: an upgrade request,
 * one small masked text frame, and counting the frames that come. Reads no payload.
 */
import { Buffer } from "node:buffer";

export function upgradeRequest(path: string): Buffer {
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
}

/** A masked text frame; the mask is zero, which leaves the payload as it is. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length > 125) throw new Error("only short frames");
  return Buffer.concat([Buffer.of(0x81, 0x80 | payload.length, 0, 0, 0, 0), payload]);
}

const headEnd = Buffer.from("\r\n\r\n");

/** Counts data frames of one connection, across reads however cut. */
export class FrameCounter {
  #upgraded = false;
  /** Bytes of the current frame's payload still to come. */
  #skip = 0;
  /** The beginning of a head that was cut. */
  #cut: Buffer | undefined;

  /** Gives the number of data frames whose head is in this read; -1 when the upgrade was refused. */
  take(read: Buffer): number {
    let bytes = this.#cut === undefined ? read : Buffer.concat([this.#cut, read]);
    this.#cut = undefined;
    if (!this.#upgraded) {
      const end = bytes.indexOf(headEnd);
      if (end < 0) return this.#keep(bytes, 0, 0);
      if (!bytes.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101"))) return -1;
      this.#upgraded = true;
      bytes = bytes.subarray(end + 4);
    }
    let frames = 0;
    let at = this.#skip;
    while (at < bytes.length) {
      const short = (bytes[at + 1] ?? 0) & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (at + head > bytes.length) return this.#keep(bytes, at, frames);
      const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? bytes.readUInt32BE(at + 6) : short;
      if (((bytes[at] as number) & 0x08) === 0) frames++;
      at += head + length;
    }
    this.#skip = at - bytes.length;
    return frames;
  }

  #keep(bytes: Buffer, at: number, frames: number): number {
    this.#cut = Buffer.from(bytes.subarray(at));
    this.#skip = 0;
    return frames;
  }
}
