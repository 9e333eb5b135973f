/**
 * The rig's process and its agents as plain JavaScript, compiled once: a process that is started two hundred times
 * in half an hour should not compile itself each time. Packages are taken from node_modules as ever.
 */
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Built {
  readonly entry: string;
  readonly agents: string;
  remove(): Promise<void>;
}

export async function buildOnce(): Promise<Built> {
  // Within the project, so that packages are found.
  const outdir = mkdtempSync(join(root, "node_modules", ".chaos-"));
  await build({
    absWorkingDir: root,
    entryPoints: { troupe: "test/chaos-cluster/troupe.ts", agents: "test/chaos/agents.ts" },
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What both share is one module, as in the sources.
    splitting: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
  return {
    entry: join(outdir, "troupe.mjs"),
    agents: join(outdir, "agents.mjs"),
    remove: () => rm(outdir, { recursive: true, force: true }),
  };
}
