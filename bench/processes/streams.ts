/** Runs that wait for a human, and an open stream of server-sent events for each of them, in one process. */
import { connect, type Socket } from "node:net";
import { Connection, request } from "../connection.ts";
import { serve } from "../process.ts";

export const handlers = { create, open, close };
if (process.send !== undefined) serve(handlers);

const connections = 64;
const triesMax = 10;
const openingMax = 100;
const waitMsMax = 60_000;
const shared = Buffer.alloc(256 * 1024);
let sockets: Socket[] = [];

/** Starts so many runs; gives their ids. */
async function create({ port, workflow, count }: { port: number; workflow: string; count: number }): Promise<string[]> {
  const ids: string[] = [];
  const bytes = request("POST", "/v1/runs", JSON.stringify({ workflow: { name: workflow }, input: {} }));
  let begun = 0;
  const one = async (): Promise<void> => {
    const connection = await Connection.open(port);
    while (begun++ < count) {
      ids.push(await createOne(connection, bytes));
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connections }, one));
  return ids;
}

/** Tries again where the node says that it is busy. */
async function createOne(connection: Connection, bytes: Buffer): Promise<string> {
  for (let tries = 1; ; tries++) {
    const { status, text } = await new Promise<{ status: number; text: string }>((resolve) =>
      connection.send(bytes, (status, answer) => resolve({ status, text: answer.toString() })),
    );
    const id = /"run_id":"([^"]+)"/.exec(text)?.[1];
    if (status === 201 && id !== undefined) return id;
    if (status < 500 || tries === triesMax) throw new Error(`POST /v1/runs: ${status} ${text}`);
  }
}

/** Opens a stream for each; resolves when each has told that its run waits. Gives how many. */
async function open({ port, ids, until }: { port: number; ids: readonly string[]; until: string }): Promise<number> {
  for (let i = 0; i < ids.length; i += openingMax) {
    await Promise.all(ids.slice(i, i + openingMax).map((id) => openOne(port, id, until)));
  }
  return sockets.filter((socket) => !socket.destroyed).length;
}

function openOne(port: number, id: string, until: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${id}: no event ${until} in time`)), waitMsMax);
    let seen = "";
    const onRead = (length: number): boolean => {
      seen = (seen + shared.toString("latin1", 0, length)).slice(-16_384);
      if (seen.includes(`event: ${until}`)) {
        clearTimeout(timer);
        resolve();
        seen = "";
      }
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", onread: { buffer: shared, callback: onRead } }, () =>
      socket.write(`GET /v1/runs/${id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n`),
    );
    socket.on("error", reject);
    sockets.push(socket);
  });
}

function close(_: null): void {
  for (const socket of sockets) socket.destroy();
  sockets = [];
}
