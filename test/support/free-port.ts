/** Ports for servers that tests start. */
import { once } from "node:events";
import { createServer } from "node:net";

/** One that nobody listens on now. */
export async function freePort(): Promise<number> {
  const port = await listenOnce(0);
  if (port === null) throw new Error("no free port");
  return port;
}

/**
 * One for a server that is away at times and comes back to it: outside of the range from which systems take the
 * ports of outgoing connections.
 */
export async function lastingPort(): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const port = await listenOnce(12_000 + Math.floor(Math.random() * 20_000));
    if (port !== null) return port;
  }
  throw new Error("no free port");
}

async function listenOnce(wanted: number): Promise<number | null> {
  const server = createServer();
  server.listen(wanted, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return null;
  }
  const address = server.address();
  server.close();
  await once(server, "close");
  return address === null || typeof address === "string" ? null : address.port;
}
