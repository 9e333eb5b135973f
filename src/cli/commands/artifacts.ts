/**
 * `troupe artifacts show|get`: what runs left behind.
 */
import { createWriteStream } from "node:fs";
import { downloadTo, readArtifact, saveFile, targetPath } from "../artifacts.ts";
import { exitCodes } from "../exit.ts";
import { bytes } from "../format.ts";
import type { Session } from "../session.ts";
import type { Artifact } from "../shapes.ts";
import { artifactText } from "../view.ts";

export async function show(session: Session, id: string): Promise<number> {
  session.json(await readArtifact(session, id));
  return exitCodes.ok.code;
}

/** The content to stdout, or to a file by `-o`. */
export async function get(session: Session, id: string, flags: { output?: string }): Promise<number> {
  const artifact = await readArtifact(session, id);
  const isFile = artifact.file !== null && artifact.file !== undefined;
  if (flags.output === undefined || flags.output === "-") {
    if (isFile) await downloadTo(session, artifact, session.io.stdout, false);
    else session.print(content(artifact));
    return exitCodes.ok.code;
  }
  const path = await targetPath(flags.output, artifact);
  if (isFile) {
    const count = await saveFile(session, artifact, path);
    session.note(`saved ${path} (${bytes(count)})`);
  } else {
    const text = `${content(artifact)}\n`;
    await new Promise<void>((resolve, reject) => {
      createWriteStream(path).on("error", reject).on("finish", resolve).end(text);
    });
    session.note(`saved ${path} (${artifactText(artifact)})`);
  }
  return exitCodes.ok.code;
}

function content(artifact: Artifact): string {
  return typeof artifact.data === "string" ? artifact.data : JSON.stringify(artifact.data ?? null, null, 2);
}
