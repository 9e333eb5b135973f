/**
 * A text in the human's own editor. Owns the temporary file.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The text after the human has left the editor, or null when it failed. */
export async function edit(editor: string, draft: string): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-"));
  const file = join(folder, "input.md");
  try {
    await writeFile(file, draft, { mode: 0o600 });
    const code = await new Promise<number>((resolve) => {
      const shell = process.platform === "win32";
      const child = shell
        ? spawn(`${editor} "${file}"`, { stdio: "inherit", shell: true })
        : spawn("sh", ["-c", `${editor} "$1"`, "sh", file], { stdio: "inherit" });
      child.on("error", () => resolve(1));
      child.on("exit", (status) => resolve(status ?? 1));
    });
    return code === 0 ? await readFile(file, "utf8") : null;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
