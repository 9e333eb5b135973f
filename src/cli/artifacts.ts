/**
 * Artifacts as files: fetches them over their signed address, checks them, names them safely.
 * Owns writing below the folder it is given.
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CliError, usageError } from "./exit.ts";
import { bytes, clean } from "./format.ts";
import type { Session } from "./session.ts";
import { type Artifact, type ArtifactRef, artifactShape } from "./shapes.ts";

export function readArtifact(session: Session, artifactId: string): Promise<Artifact> {
  return session.api.get(`/v1/artifacts/${encodeURIComponent(artifactId)}`, artifactShape);
}

/** Streams a file artifact's bytes into `to` and checks their number and digest; throws CliError. */
export async function downloadTo(session: Session, artifact: Artifact, to: Writable, end: boolean): Promise<number> {
  const { file } = artifact;
  if (file === null || file === undefined) throw usageError(`artifact ${artifact.artifact_id} is not a file`);
  // The address is signed and may point to another host: no credential goes with it.
  const response = await session.api.open(new URL(file.download_url, session.api.base), {}, session.stop);
  const digest = createHash("sha256");
  let count = 0;
  const source = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body as never);
  await pipeline(
    source,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        digest.update(chunk);
        count += chunk.length;
        yield chunk;
      }
    },
    to,
    { end, signal: session.stop },
  );
  const sha256 = digest.digest("hex");
  if (file.sha256 && file.sha256.toLowerCase() !== sha256) {
    throw new CliError("refused", `artifact ${artifact.artifact_id} came damaged: sha256 ${sha256}`, {
      code: "damaged",
      advice: "Fetch it again.",
    });
  }
  return count;
}

/** Saves a file artifact at `path`: complete or not at all. */
export async function saveFile(session: Session, artifact: Artifact, path: string): Promise<number> {
  const part = `${path}.${session.io.random.id()}.part`;
  try {
    const count = await downloadTo(session, artifact, createWriteStream(part, { flags: "wx" }), true);
    await rename(part, path);
    return count;
  } catch (error) {
    await rm(part, { force: true });
    throw localError(error, path);
  }
}

/** Saves every file artifact of a run in a folder, which is made; says where each lies. */
export async function saveFiles(
  session: Session,
  artifacts: readonly ArtifactRef[],
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => Promise.reject(localError(error, folder)));
  for (const ref of artifacts.filter((artifact) => artifact.type === "file")) {
    const artifact = await readArtifact(session, ref.artifact_id);
    const path = await freePath(folder, safeName(ref.name ?? ref.artifact_id));
    const count = await saveFile(session, artifact, path).catch(async (error: unknown) => {
      await rm(path, { force: true });
      throw error;
    });
    say(`  saved ${path} (${bytes(count)})`);
  }
}

/** Where `-o` means: the file itself, or a file of the artifact's name in that folder. */
export async function targetPath(target: string, artifact: Artifact): Promise<string> {
  const isFolder = await stat(target).then(
    (info) => info.isDirectory(),
    () => target.endsWith("/"),
  );
  if (!isFolder) return target;
  await mkdir(target, { recursive: true });
  return join(target, safeName(artifact.name ?? artifact.artifact_id));
}

/** The last part of a name that others chose, without what would leave the folder or hide the file. */
export function safeName(name: string): string {
  const safe = clean(basename(name.replaceAll("\\", "/")))
    .replace(/[<>:"|?*]/g, "_")
    .replace(/^\.+/, "");
  return safe === "" ? "artifact" : safe;
}

/** `report.md`, then `report-2.md`: what is there already is not overwritten. */
async function freePath(folder: string, name: string): Promise<string> {
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  for (let n = 1; ; n++) {
    const path = join(folder, n === 1 ? name : `${stem}-${n}${extension}`);
    try {
      await (await open(path, "wx")).close();
      return path;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw localError(error, path);
    }
  }
}

/** The file system's refusals as errors of the command line. */
export function localError(error: unknown, path: string): unknown {
  if (!(error instanceof Error && "code" in error && "syscall" in error)) return error;
  return usageError(`${String(error.code)} at ${path}`, `Check that ${dirname(path)} exists and may be used.`);
}
