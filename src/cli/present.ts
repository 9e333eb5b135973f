/**
 * Three ways to show a followed run: JSON lines, plain lines, a live view. Owns when something is
 * written; not owned: how it looks (view.ts) and where it comes from (follow.ts).
 */
import { LiveRegion } from "./live.ts";
import type { Session } from "./session.ts";
import type { Checkpoint, Run, RunEvent } from "./shapes.ts";
import { checkpointLines, endLines, eventLine, runLines, shellWord } from "./view.ts";

export interface Presenter {
  /** True when it shows the run's state and not only events. */
  readonly wantsState: boolean;
  event(event: RunEvent): void;
  state(run: Run): void;
  away(away: boolean): void;
  /** A checkpoint is open and nobody is asked here. */
  open(checkpoint: Checkpoint, run: Run): void;
  /** A line that stays. */
  say(line: string): void;
  /** Stops drawing while a human is asked, and goes on. */
  suspend(): void;
  resume(): void;
  end(run: Run): void;
  /** Ends drawing without an end of the run. */
  stop(): void;
}

/** One JSON event a line, and the run as the last line. */
export function jsonPresenter(session: Session): Presenter {
  return {
    wantsState: false,
    event: (event) => session.print(JSON.stringify(event)),
    state: () => undefined,
    away: (away) => session.note(away ? "reconnecting…" : "connected again"),
    open: () => undefined,
    say: (line) => session.note(line),
    suspend: () => undefined,
    resume: () => undefined,
    end: (run) => session.print(JSON.stringify(run)),
    stop: () => undefined,
  };
}

/** A line an event. */
export function plainPresenter(session: Session, run: Run): Presenter {
  let first = Date.parse(run.timing?.created_at ?? "");
  const said = new Set<string>();
  return {
    wantsState: false,
    event(event) {
      const at = Date.parse(event.ts ?? "");
      if (Number.isNaN(first)) first = at;
      session.print(eventLine(event, Number.isNaN(at - first) ? 0 : at - first, session.paint));
    },
    state: () => undefined,
    away: (away) => session.note(away ? "reconnecting…" : "connected again"),
    open(checkpoint, current) {
      if (said.has(checkpoint.checkpoint_id)) return;
      said.add(checkpoint.checkpoint_id);
      session.printAll([...checkpointLines(checkpoint, session.canvas), ...decideLines(current, checkpoint)]);
    },
    say: (line) => session.print(line),
    suspend: () => undefined,
    resume: () => undefined,
    end: (ended) => session.printAll(endLines(ended, session.paint)),
    stop: () => undefined,
  };
}

/** How to decide from another terminal. */
export function decideLines(run: Run, checkpoint: Checkpoint): string[] {
  const id = `${shellWord(run.run_id)} ${shellWord(checkpoint.checkpoint_id)}`;
  const lines = [`  troupe approve ${id}`, `  troupe reject ${id} --note '…'`];
  const takesInput = checkpoint.required_schema !== null && checkpoint.required_schema !== undefined;
  return ["waits for a decision:", ...lines, ...(takesInput ? [`  troupe input ${id} --input '…'`] : [])];
}

const tickMs = 120;
const failuresShownMax = 10;

/** A failure worth a line of its own; what ends because the run ends is not. */
function tells(event: RunEvent): boolean {
  const { payload } = event;
  const cancelled =
    typeof payload === "object" && payload !== null && "reason" in payload && payload.reason === "cancelled";
  return event.type === "step.failed" && !cancelled;
}

/** The live view, redrawn in place. `agedMs`: how old the run is already. */
export function livePresenter(session: Session, first: Run, agedMs: number): Presenter {
  const { clock } = session.io;
  const region = new LiveRegion(session.io.stdout);
  const began = clock.monotonic() - agedMs;
  let run = first;
  let frame = 0;
  let away = false;
  let drawing = true;
  let failures = 0;
  let timer = clock.after(0, tick);
  const said = new Set<string>();

  function draw(): void {
    if (!drawing) return;
    const elapsedMs = run.timing?.wall_ms ?? clock.monotonic() - began;
    region.draw(runLines({ run, elapsedMs, frame, away }, session.canvas));
  }
  function tick(): void {
    frame++;
    draw();
    timer = clock.after(tickMs, tick);
  }
  function say(lines: readonly string[]): void {
    if (drawing) region.above(lines);
    else session.printAll(lines);
  }
  return {
    wantsState: true,
    event(event) {
      if (!tells(event) || failures++ >= failuresShownMax) return;
      const since = Date.parse(event.ts ?? "") - Date.parse(run.timing?.created_at ?? "");
      const time = Number.isNaN(since) ? 0 : since;
      say([
        session.paint(
          "red",
          eventLine(event, time, (_style, text) => text),
        ),
      ]);
    },
    state(next) {
      run = next;
      draw();
    },
    away(gone) {
      away = gone;
      draw();
    },
    open(checkpoint, current) {
      if (said.has(checkpoint.checkpoint_id)) return;
      said.add(checkpoint.checkpoint_id);
      say([...checkpointLines(checkpoint, session.canvas), ...decideLines(current, checkpoint)]);
    },
    say: (line) => say([line]),
    suspend() {
      draw();
      drawing = false;
      region.leave();
    },
    resume() {
      drawing = true;
      draw();
    },
    end(ended) {
      run = ended;
      away = false;
      draw();
      this.stop();
      session.printAll(["", ...endLines(ended, session.paint)]);
      if (failures > failuresShownMax)
        session.print(`  ${failures - failuresShownMax} more failures: troupe runs events ${shellWord(ended.run_id)}`);
    },
    stop() {
      drawing = false;
      timer.cancel();
    },
  };
}
