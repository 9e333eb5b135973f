/** A process that tries to lock the directory given at the moment given (ms), says how it went, and lives on. */
import { lockDirectory } from "../../src/bus/server/lock.ts";

const [directory = "", at = "0"] = process.argv.slice(2);
while (Date.now() < Number(at)) {
  // All of them at the same moment.
}
try {
  lockDirectory(directory);
  process.stdout.write(`${JSON.stringify({ locked: true })}\n`);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ locked: false, error: String(error) })}\n`);
}
setInterval(() => {}, 60_000);
