/** Very many WebSocket clients in one process: connects, says one message on each, counts what comes. */
import { connect, type Socket } from "node:net";
import { FrameCounter, textFrame, upgradeRequest } from "../frames.ts";
import { serve } from "../process.ts";

export interface Clients {
  readonly port: number;
  readonly path: string;
  readonly count: number;
  /** Sent on each connection; each is then answered with one frame. `%` in it becomes a running number. */
  readonly hello?: string;
  /** Hellos on each connection. Default 1. */
  readonly hellosEach?: number;
}

export const handlers = { open, expect, close };
if (process.send !== undefined) serve(handlers);

/** Connections being made at once: the listener's backlog is finite. */
const openingMax = 100;
/** A burst on a busy machine. */
const waitMsMax = 120_000;
const shared = Buffer.alloc(1 << 20);

let sockets: Socket[] = [];
let frames = 0;
let wanted = Number.POSITIVE_INFINITY;
let reached: (() => void) | undefined;
let refused = 0;

/** Connects all, and waits for the answers to `hello`. Gives how many stand and how long it took. */
async function open({
  port,
  path,
  count,
  hello,
  hellosEach = 1,
}: Clients): Promise<{ open: number; refused: number; ms: number }> {
  const begin = performance.now();
  refused = 0;
  frames = 0;
  const answered = hello === undefined ? undefined : until(() => (count - refused) * hellosEach);
  for (let i = 0; i < count; i += openingMax) {
    const some = Math.min(openingMax, count - i);
    await Promise.all(
      Array.from({ length: some }, (_, j) => openOne(port, path, hellosOf(hello, (i + j) * hellosEach, hellosEach))),
    );
  }
  await answered;
  sockets = sockets.filter((socket) => !socket.destroyed);
  return { open: sockets.length, refused, ms: performance.now() - begin };
}

function hellosOf(hello: string | undefined, from: number, count: number): Buffer | undefined {
  if (hello === undefined) return undefined;
  return Buffer.concat(Array.from({ length: count }, (_, i) => textFrame(hello.replaceAll("%", String(from + i)))));
}

function openOne(port: number, path: string, hello: Buffer | undefined): Promise<void> {
  return new Promise((resolve) => {
    const counter = new FrameCounter();
    let upgraded = false;
    const onRead = (length: number): boolean => {
      const count = counter.take(shared.subarray(0, length));
      if (count < 0) {
        socket.destroy();
        return true;
      }
      if (!upgraded) {
        upgraded = true;
        if (hello !== undefined) socket.write(hello);
        resolve();
      }
      if (count > 0) counted(count);
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", onread: { buffer: shared, callback: onRead } }, () =>
      socket.write(upgradeRequest(path)),
    );
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      if (!upgraded) refused++;
      resolve();
    });
  });
}

function counted(count: number): void {
  frames += count;
  if (frames >= wanted) reached?.();
}

/** Resolves when so many frames came on all connections together, from the call on; gives the time of the last, ms since 1970. */
async function expect({ frames: count }: { frames: number }): Promise<{ frames: number; lastAt: number }> {
  frames = 0;
  await until(() => count);
  return { frames, lastAt: performance.timeOrigin + performance.now() };
}

/** After the deadline it resolves with what there is. */
function until(count: () => number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end(), waitMsMax);
    const end = (): void => {
      clearTimeout(timer);
      reached = undefined;
      wanted = Number.POSITIVE_INFINITY;
      resolve();
    };
    wanted = count();
    reached = () => frames >= count() && end();
  });
}

function close(_: null): void {
  for (const socket of sockets) socket.destroy();
  sockets = [];
}
