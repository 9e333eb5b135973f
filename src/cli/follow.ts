/**
 * Follows a run to its end: events in, a presenter told, checkpoints decided, artifacts saved, an
 * exit code out. Owns the order of things; not owned: drawing (present.ts), asking (prompt.ts).
 */

import type { TimerHandle } from "../bus/clock.ts";
import { saveFiles } from "./artifacts.ts";
import { sendDecision } from "./decide.ts";
import { CliError, exitCodes, Interrupted } from "./exit.ts";
import { jsonPresenter, livePresenter, type Presenter, plainPresenter } from "./present.ts";
import { askDecision } from "./prompt.ts";
import { awayMsDefault, Reconnect } from "./reconnect.ts";
import type { Session } from "./session.ts";
import { type Checkpoint, isEnded, openCheckpoints, type Run, type RunEvent, runShape } from "./shapes.ts";
import { followEvents } from "./sse.ts";
import { shellWord } from "./view.ts";

export interface FollowFlags {
  readonly json?: boolean;
  /** Approves every checkpoint. */
  readonly yes?: boolean;
  /** Stop following after so many ms, exit code 6. */
  readonly timeout?: number;
  /** Where file artifacts are saved at the end. */
  readonly out?: string;
}

const refreshMsMin = 200;

/** Resolves with the exit code; throws CliError, Interrupted or OutputClosed. `agedMs`: how old the run is. */
export async function followRun(session: Session, run: Run, agedMs: number, flags: FollowFlags): Promise<number> {
  const live = session.io.stdout.isTTY === true && flags.json !== true;
  const presenter =
    flags.json === true
      ? jsonPresenter(session)
      : live
        ? livePresenter(session, run, agedMs)
        : plainPresenter(session, run);
  const ended = await detachable(session, presenter, new Follow(session, run.run_id, presenter, flags), run);
  presenter.end(ended);
  if (flags.out !== undefined)
    await saveFiles(session, ended.artifacts ?? [], flags.out, (line) => presenter.say(line));
  return ended.status === "succeeded" ? exitCodes.ok.code : exitCodes.refused.code;
}

/** Follows to the end; Ctrl-C says how to go on. */
async function detachable(session: Session, presenter: Presenter, follow: Follow, run: Run): Promise<Run> {
  try {
    return await follow.toTheEnd(run);
  } catch (error) {
    presenter.stop();
    if (error instanceof Interrupted) {
      session.note(`\ndetached; the run goes on. Follow it again: troupe runs follow ${shellWord(run.run_id)}`);
    }
    throw error;
  } finally {
    follow.release();
  }
}

class Follow {
  private readonly own = new AbortController();
  private readonly stop: AbortSignal;
  private readonly awayMsMax: number;
  private readonly deadline: TimerHandle | null = null;
  private refreshTimer: TimerHandle | null = null;
  private refreshMs = refreshMsMin;
  private refreshing = false;
  private again = false;
  private over = false;
  private asking: { readonly id: string; readonly cancel: AbortController } | null = null;
  /** Decided here or put off: not asked again. */
  private readonly settled = new Set<string>();

  constructor(
    private readonly session: Session,
    private readonly runId: string,
    private readonly presenter: Presenter,
    private readonly flags: FollowFlags,
  ) {
    this.stop = AbortSignal.any([session.stop, this.own.signal]);
    this.awayMsMax = flags.timeout ?? awayMsDefault;
    if (flags.timeout !== undefined) {
      this.deadline = session.io.clock.after(flags.timeout, () => this.own.abort(timedOut(this.runId)));
    }
  }

  release(): void {
    this.over = true;
    this.deadline?.cancel();
    this.refreshTimer?.cancel();
    this.asking?.cancel.abort(new Superseded());
  }

  async toTheEnd(run: Run): Promise<Run> {
    const { session, presenter, runId, stop, awayMsMax } = this;
    this.take(run);
    const onAway = (away: boolean): void => presenter.away(away);
    const { clock } = session.io;
    const onEvent = (event: RunEvent): void => this.onEvent(event);
    await followEvents({ api: session.api, clock, runId, stop, awayMsMax, onEvent, onAway });
    this.over = true;
    this.asking?.cancel.abort(new Superseded());
    const reconnect = new Reconnect({ clock, stop, awayMsMax, onAway });
    for (;;) {
      try {
        const ended = await this.read();
        if (isEnded(ended)) return ended;
        await reconnect.down(null);
      } catch (error) {
        await reconnect.down(error);
      }
    }
  }

  /** `/stages`: how far it is, without its input and output. */
  private read(part: "" | "/stages" = ""): Promise<Run> {
    return this.session.api.get(`/v1/runs/${encodeURIComponent(this.runId)}${part}`, runShape);
  }

  private onEvent(event: RunEvent): void {
    this.presenter.event(event);
    if (this.presenter.wantsState || event.type.startsWith("hitl.")) this.refreshSoon();
  }

  /** Many events, one read: at most one at a time, and the longer it takes the rarer it is. */
  private refreshSoon(): void {
    if (this.refreshing) this.again = true;
    if (this.refreshing || this.refreshTimer !== null || this.over) return;
    this.refreshTimer = this.session.io.clock.after(this.refreshMs, () => {
      this.refreshTimer = null;
      void this.refresh();
    });
  }

  private async refresh(): Promise<void> {
    const { clock } = this.session.io;
    const began = clock.monotonic();
    this.refreshing = true;
    this.again = false;
    try {
      const run = await this.read("/stages");
      if (!this.over) this.take(run);
    } catch {
      // The event stream sees the same trouble and tells; look again when it is back.
      this.again = true;
    }
    this.refreshMs = Math.max(refreshMsMin, 4 * (clock.monotonic() - began));
    this.refreshing = false;
    if (this.again) this.refreshSoon();
  }

  /** The run as it stands: shown, and its open checkpoints decided. */
  private take(run: Run): void {
    this.presenter.state(run);
    const open = openCheckpoints(run);
    if (this.asking !== null && !open.some((checkpoint) => checkpoint.checkpoint_id === this.asking?.id)) {
      this.asking.cancel.abort(new Superseded());
    }
    if (this.asking !== null) return;
    const next = open.find((checkpoint) => !this.settled.has(checkpoint.checkpoint_id));
    if (next === undefined) return;
    this.settled.add(next.checkpoint_id);
    if (this.flags.yes !== true && (this.flags.json === true || !this.session.interactive)) {
      this.presenter.open(next, run);
      return;
    }
    const cancel = new AbortController();
    this.asking = { id: next.checkpoint_id, cancel };
    this.decide(next, AbortSignal.any([cancel.signal, this.stop])).then(
      () => {
        this.asking = null;
        this.refreshSoon();
      },
      (error: unknown) => this.own.abort(error),
    );
  }

  private async decide(checkpoint: Checkpoint, signal: AbortSignal): Promise<void> {
    const { session, presenter } = this;
    const title = checkpoint.title ?? checkpoint.checkpoint_id;
    if (this.flags.yes !== true) presenter.suspend();
    try {
      const decision =
        this.flags.yes === true ? { kind: "approve" as const } : await askDecision(session, checkpoint, signal);
      if (decision.kind === "later") return;
      const after = await sendDecision(session.api, this.runId, checkpoint.checkpoint_id, decision);
      presenter.say(`${title}: ${after.status}`);
    } catch (error) {
      if (error instanceof Superseded) presenter.say("\ndecided elsewhere");
      else if (error instanceof CliError && error.facts.code === "conflict")
        presenter.say(`${title}: ${error.message}`);
      else if (isMistake(error)) {
        // What was typed does not fit the schema: say so, and ask again.
        presenter.say(`${title}: ${error.message}`);
        this.settled.delete(checkpoint.checkpoint_id);
      } else throw error;
    } finally {
      if (!this.over) presenter.resume();
    }
  }
}

function isMistake(error: unknown): error is CliError {
  return error instanceof CliError && error.facts.code === "invalid_input";
}

/** The checkpoint that is asked about was decided by someone else, or the run is over. */
class Superseded extends Error {}

function timedOut(runId: string): CliError {
  return new CliError("timedOut", `the run has not ended in time; it goes on`, {
    code: "timed_out",
    advice: `Follow it again: troupe runs follow ${shellWord(runId)}`,
  });
}
