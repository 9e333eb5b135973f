/** A process that starts the embedded server on the directory given, says so, and lives on. */
import { ensureServer } from "../../src/bus/server/ensure.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const options = { natsUrls: [], natsPort: 0, sync: "always", storeBytesMax: 2 ** 30, searchPath: "" } as const;

try {
  const server = await ensureServer({ ...options, dataDir: process.argv[2] ?? "" }, log);
  process.stdout.write(
    `${JSON.stringify({ pid: server.pid, urls: server.urls, user: server.user, pass: server.pass })}\n`,
  );
  setInterval(() => {}, 60_000);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
}
