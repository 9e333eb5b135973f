/**
 * `troupe tail PATTERN`: live events of everything that matches, until Ctrl-C.
 */
import { CliError, exitCodes } from "../exit.ts";
import { brief, instant, pad } from "../format.ts";
import { awayMsDefault } from "../reconnect.ts";
import type { Session } from "../session.ts";
import type { FeedEvent } from "../shapes.ts";
import { tailEvents } from "../socket.ts";
import { shellWord } from "../view.ts";

export interface TailFlags {
  readonly since?: string;
  /** Ends after so many events. */
  readonly count?: number;
  /** Stops after so many ms, exit code 6 when --count was not reached. */
  readonly timeout?: number;
  readonly json?: boolean;
}

/** Enough: `--count` events have come. */
class Enough extends Error {}

export async function tail(session: Session, pattern: string, flags: TailFlags): Promise<number> {
  const own = new AbortController();
  const { clock } = session.io;
  const deadline =
    flags.timeout === undefined
      ? null
      : clock.after(flags.timeout, () => own.abort(timedOut(flags.count !== undefined)));
  let left = flags.count ?? Number.POSITIVE_INFINITY;
  let cursor = flags.since;
  try {
    return await tailEvents({
      api: session.api,
      clock,
      stop: AbortSignal.any([session.stop, own.signal]),
      pattern,
      since: flags.since,
      awayMsMax: flags.timeout ?? awayMsDefault,
      onAway: (away) => session.note(away ? "reconnecting…" : "connected again"),
      onSubscribed: () => session.note(session.paint("dim", `listening to ${pattern}`)),
      onEvent(event, at) {
        if (left <= 0) return undefined;
        cursor = at ?? cursor;
        session.print(flags.json === true ? JSON.stringify({ cursor: at, ...event }) : feedLine(event, session));
        if (--left <= 0) own.abort(new Enough());
        return session.drained();
      },
    });
  } catch (error) {
    if (error instanceof Enough) return exitCodes.ok.code;
    if (cursor !== undefined && session.io.stderr.isTTY === true) {
      session.note(
        session.paint("dim", `go on from here: troupe tail ${shellWord(pattern)} --since ${shellWord(cursor)}`),
      );
    }
    throw error;
  } finally {
    deadline?.cancel();
  }
}

function timedOut(counting: boolean): CliError {
  const message = counting ? "not as many events have come in time" : "the time is over";
  return new CliError("timedOut", message, { code: "timed_out" });
}

function feedLine(event: FeedEvent, session: Session): string {
  const at = typeof event.at === "number" ? new Date(event.at).toISOString() : event.at;
  const time = instant(at).slice(11);
  const name = `${event.type}.${event.name}`;
  const kind = event.kind === null || event.kind === undefined ? "" : session.paint("dim", `(${brief(event.kind)})`);
  const data = event.data === undefined ? "" : session.paint("dim", brief(event.data, 160));
  return [session.paint("dim", time), pad(brief(name), 21), brief(event.key, 200), kind, data]
    .filter((part) => part !== "")
    .join("  ");
}
