#!/usr/bin/env node
/**
 * Starts Troupe: checks the Node version, lets Node read TypeScript, hands over to src/main.ts.
 */
const major = Number(process.versions.node.split(".")[0]);
if (major < 20) {
  process.stderr.write(`Troupe needs Node.js 20 or newer; this is ${process.version}. Get one at https://nodejs.org\n`);
  process.exit(1);
}

// A reader that went away (`troupe runs list | head`) ends the output; a node must not die of it,
// and commands that only print notice it themselves.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const { register } = await import("tsx/esm/api");
// Not the tsconfig.json of whatever directory this runs in.
register({ tsconfig: false });
await import("../src/main.ts");
