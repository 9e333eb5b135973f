/**
 * One live Troupe per data directory. Owns the file `troupe.lock`; knows nothing of servers.
 *
 * The rule: who holds the directory is the end of a chain of claims. `troupe.lock` is its head;
 * the only successor of a claim is the file `troupe.lock.<that claim's id>`. Both are made with
 * link(2), which fails when the name exists, and appear with their whole content.
 *
 * Why it is safe: of all who find the same dead claim, one link succeeds. The winner then moves
 * its claim over the head, and only afterwards removes the names it followed; so one whose link
 * came after that sees another head than the one it walked from, and starts again.
 */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ServerError } from "./options.ts";
import { identify, isAlive, type ProcessIdentity } from "./processes.ts";

interface Claim extends ProcessIdentity {
  /** Random, of this start. */
  readonly boot: string;
}

/** Why a second one is refused: the claim of the living holder. */
class Held extends Error {
  constructor(readonly holder: Claim) {
    super();
  }
}

const attemptsMax = 100;

/** Takes the directory, or throws ServerError `in_use` that names the process which has it. Returns what frees it. */
export function lockDirectory(dataDir: string): () => void {
  const steps = lockSteps(dataDir);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The same, one file operation at a time, so that a test can interleave several of them. */
export function* lockSteps(dataDir: string): Generator<void, () => void> {
  const me = identify(process.pid);
  if (!me) throw new ServerError("start_failed", "This system does not tell when this process started.");
  const mine: Claim = { ...me, boot: randomBytes(8).toString("hex") };
  const head = join(dataDir, "troupe.lock");
  const draft = `${head}.draft-${mine.boot}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  try {
    for (let i = 0; i < attemptsMax; i++) {
      if (yield* claim(head, draft)) return () => release(head, mine);
    }
    throw new ServerError("in_use", `${head} changes all the time; are many processes starting on this directory?`);
  } catch (error) {
    if (!(error instanceof Held)) throw error;
    throw new ServerError(
      "in_use",
      `Another Troupe (process ${error.holder.pid}) runs on the data directory ${dataDir}. Stop it, or choose another directory with TROUPE_DATA.`,
    );
  } finally {
    rmSync(draft, { force: true });
  }
}

/** One try; false when the chain changed under our feet. */
function* claim(head: string, draft: string): Generator<void, boolean> {
  const first = readClaim(head);
  yield;
  if (!first) return link(draft, head);
  const followed: string[] = [];
  let last = first;
  for (;;) {
    if (isAlive(last)) throw new Held(last);
    const next = `${head}.${last.boot}`;
    followed.push(next);
    const successor = readClaim(next);
    yield;
    if (!successor) break;
    last = successor;
  }
  const own = followed.at(-1) as string;
  if (!link(draft, own)) return false;
  yield;
  const headNow = readClaim(head);
  yield;
  if (headNow?.boot !== first.boot) {
    rmSync(own, { force: true });
    return false;
  }
  renameSync(draft, head);
  for (const name of followed) {
    yield;
    rmSync(name, { force: true });
  }
  return true;
}

function release(head: string, mine: Claim): void {
  if (readClaim(head)?.boot === mine.boot) rmSync(head, { force: true });
}

/** False when the name exists. */
function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Null when there is none. One that cannot be read (an interrupted copy of the directory) counts as dead. */
function readClaim(path: string): Claim | null {
  try {
    const read = JSON.parse(readFileSync(path, "utf8")) as Partial<Claim>;
    return { pid: Number(read.pid), startTime: String(read.startTime), boot: String(read.boot).replace(/\W/g, "") };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (error instanceof SyntaxError) return { pid: 0, startTime: "", boot: `unreadable${path.length}` };
    throw error;
  }
}
