/**
 * The embedded server's configuration file and credential. Owns their text and their places in
 * the data directory; starts nothing.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** Files in the data directory. */
export interface ServerFiles {
  readonly conf: string;
  readonly credential: string;
  /** What is known of the running process. */
  readonly state: string;
  readonly log: string;
  readonly store: string;
}

/** `dataDir` must be absolute: the conf's path recognises a process. */
export function serverFiles(dataDir: string): ServerFiles {
  return {
    conf: join(dataDir, "nats.conf"),
    credential: join(dataDir, "nats.credential.json"),
    state: join(dataDir, "nats.json"),
    log: join(dataDir, "nats.log"),
    store: join(dataDir, "jetstream"),
  };
}

const credentialShape = z.object({ user: z.string().min(1), pass: z.string().min(1) });
export type Credential = z.infer<typeof credentialShape>;

/** The data directory's credential, made at the first call; readable by this user only. */
export function credentialOf(files: ServerFiles): Credential {
  const read = readJson(files.credential);
  const parsed = credentialShape.safeParse(read);
  if (parsed.success) return parsed.data;
  const made: Credential = { user: "troupe", pass: randomBytes(24).toString("base64url") };
  writeWhole(files.credential, `${JSON.stringify(made)}\n`);
  return made;
}

export interface ConfInput {
  readonly port: number;
  readonly sync: "always" | number;
  readonly storeBytesMax: number;
  readonly credential: Credential;
  readonly store: string;
  /** Path and version of the program: another one needs a new start. */
  readonly server: string;
}

/** Largest message the server takes, and so twice the largest journal group. */
export const payloadBytesMax = 8 * 2 ** 20;

export function confText(input: ConfInput): string {
  const sync = input.sync === "always" ? "always" : quote(`${input.sync}ms`);
  return `# Written by Troupe at each start; what you change here is lost. Settings: troupe start --help
# for ${JSON.stringify(input.server)}
server_name: "troupe"
# Loopback only, and a credential of its own: other users of this machine stay out.
host: "127.0.0.1"
port: ${input.port}
authorization { user: ${quote(input.credential.user)}, password: ${quote(input.credential.pass)} }
max_payload: ${payloadBytesMax}
jetstream {
  store_dir: ${quote(input.store)}
  max_file_store: ${input.storeBytesMax}
  max_memory_store: ${64 * 2 ** 20}
  # always: an acknowledged commit survives power loss.
  sync_interval: ${sync}
}
`;
}

/** The port in a conf that `confText` wrote. */
export function portOf(conf: string): number | null {
  const port = Number(/^port: (\d+)$/m.exec(conf)?.[1]);
  return port > 0 ? port : null;
}

export function hashOf(conf: string): string {
  return createHash("sha256").update(conf).digest("hex");
}

/** A string of nats-server's configuration language. */
function quote(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  return `"${escaped.replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t")}"`;
}

/** Null when there is none or it is no JSON. */
export function readJson(path: string): unknown {
  const text = readOrNull(path);
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Writes a file that only this user may read; a reader sees the old content or the new one. */
export function writeWhole(path: string, text: string): void {
  const draft = `${path}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}
