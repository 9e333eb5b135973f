/** `troupe audit` on the rig's store, as an operator would run it: the lines that it prints when the store is not sound. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export function auditProblems(servers: readonly string[]): Promise<string[]> {
  const { PATH, HOME } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["bin/troupe.js", "audit"],
      { cwd: root, env: { PATH, HOME, NATS_URL: servers.join(",") }, timeout: 300_000, maxBuffer: 64 * 2 ** 20 },
      (error, stdout, stderr) => {
        if (error === null) resolve([]);
        else
          resolve([...stdout.split("\n").filter((line) => /^ {2}/.test(line)), ...stderr.split("\n"), error.message]);
      },
    );
  });
}
