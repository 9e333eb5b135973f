/**
 * Keeps one embedded nats-server running: when it dies without having been told to, starts it
 * again on the same port, with growing pauses. Owns the decision when; start.ts does it.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import { rotate } from "./log-file.ts";
import type { ServerLog } from "./options.ts";
import { isAlive } from "./processes.ts";
import { endServer, type RunningServer, type StartOptions, startServer } from "./start.ts";

const backoffMsFirst = 100;
const backoffMsMax = 5_000;
/** One that lived this long begins again with the first pause. */
const steadyMs = 10_000;
/** An adopted server is not our child: its end shows only by looking. */
const lookMs = 200;
const rotateMs = 60_000;

export class Supervisor {
  private backoffMs = backoffMsFirst;
  private stopping: Promise<void> | null = null;
  private starting: Promise<void> | null = null;
  private aliveSince: number;
  private timer: TimerHandle | null = null;
  private housekeeping: TimerHandle | null = null;
  private readonly listeners: (() => void)[] = [];
  private readonly options: StartOptions;
  private readonly clock: Clock;
  private readonly log: ServerLog;

  /** `server` runs already. Restarts keep its port. */
  constructor(
    private server: RunningServer,
    options: StartOptions,
  ) {
    this.options = { ...options, port: server.port };
    this.clock = options.clock;
    this.log = options.log;
    this.aliveSince = this.clock.monotonic();
    this.watch();
    this.tidy();
  }

  get current(): RunningServer {
    return this.server;
  }

  onRestart(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Ends the server and restarts no more; waits for a start under way, so that none is left behind. */
  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private async end(): Promise<void> {
    this.timer?.cancel();
    this.housekeeping?.cancel();
    await this.starting;
    await endServer(this.server.process, this.options.files, this.clock);
  }

  private watch(): void {
    const watched = this.server;
    if (watched.adopted) this.look(watched);
    else watched.onExit(() => this.died(watched));
  }

  private look(watched: RunningServer): void {
    if (this.stopping || watched !== this.server) return;
    if (!isAlive(watched.process)) this.died(watched);
    else this.timer = this.clock.after(lookMs, () => this.look(watched));
  }

  private died(watched: RunningServer): void {
    if (this.stopping || watched !== this.server) return;
    if (this.clock.monotonic() - this.aliveSince > steadyMs) this.backoffMs = backoffMsFirst;
    this.log.error({ pid: watched.process.pid, restartInMs: this.backoffMs }, "nats-server died; starting it again");
    this.startLater();
  }

  private startLater(): void {
    const ms = this.backoffMs;
    this.backoffMs = Math.min(ms * 2, backoffMsMax);
    this.timer = this.clock.after(ms, () => {
      this.starting = this.startAgain().finally(() => {
        this.starting = null;
      });
    });
  }

  private async startAgain(): Promise<void> {
    try {
      this.server = await startServer(this.options);
    } catch (error) {
      this.log.error({ err: error, retryInMs: this.backoffMs }, "nats-server does not start");
      if (!this.stopping) this.startLater();
      return;
    }
    this.aliveSince = this.clock.monotonic();
    if (this.stopping) return;
    this.watch();
    for (const listener of this.listeners) listener();
  }

  private tidy(): void {
    this.housekeeping = this.clock.after(rotateMs, () => {
      try {
        rotate(this.options.files.log);
      } catch (error) {
        this.log.warn({ err: error }, "the nats-server's log cannot be rotated");
      }
      if (!this.stopping) this.tidy();
    });
  }
}
