/**
 * The course of a chaos run: the cluster, its clients and the reader of its streams begin; faults come; then calm, and
 * what was seen is compared with what is stored.
 */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadCodec } from "../../src/bus/codec.ts";
import { check, resultOf } from "../chaos/check.ts";
import { Feed } from "../chaos/follow.ts";
import { random as seededRandom } from "../chaos/random.ts";
import { registerWorkflows, undisturbed } from "../chaos/scenarios.ts";
import { World } from "../chaos/world.ts";
import { until } from "../support/until.ts";
import { auditProblems } from "./audit.ts";
import { HttpCaller, SocketCaller } from "./caller.ts";
import { ChainCheck } from "./chain-check.ts";
import { ChaosCluster } from "./cluster.ts";
import { JournalReader } from "./journal.ts";
import { Lane } from "./lane.ts";
import { Ledger, type Seen } from "./ledger.ts";
import { Pace } from "./pace.ts";
import { Routes } from "./routes.ts";
import { RovingClient } from "./roving-client.ts";
import { Schedule } from "./schedule.ts";
import { type ChaosSettings, tallies } from "./settings.ts";
import { TallyCheck } from "./tally-check.ts";
import { sound, type Verdict } from "./verdict.ts";
import { Watcher } from "./watcher.ts";
import { Workers } from "./workers.ts";

const partitions = 8;
const streams = 4;
/** As many requests as one WebSocket may have waiting, less a few. */
const lanesPerSocket = 60;

export async function chaos(settings: ChaosSettings, say: (line: string) => void): Promise<Verdict> {
  const cluster = await ChaosCluster.create({ TROUPE_REPLAY_BYTES: String(settings.replayBytes) });
  let verdict: Verdict | undefined;
  try {
    await cluster.start();
    verdict = await new Rig(cluster, settings, say).run();
    return verdict;
  } finally {
    await cluster.dispose(verdict === undefined || !sound(verdict));
  }
}

/** A command that no try of 30 s got through; the ledger's times. */
interface GivenUp {
  readonly what: string;
  readonly from: number;
  readonly to: number;
}

class Rig {
  readonly #cluster: ChaosCluster;
  readonly #settings: ChaosSettings;
  readonly #say: (line: string) => void;
  readonly #ledger: Ledger;
  readonly #routes: Routes;
  readonly #tallyCheck = new TallyCheck();
  #chains: ChainCheck[] = [];
  #journal!: JournalReader;
  #watchers: Watcher[] = [];
  #callers: SocketCaller[] = [];

  constructor(cluster: ChaosCluster, settings: ChaosSettings, say: (line: string) => void) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#say = say;
    this.#ledger = new Ledger(join(cluster.directory, "seen.jsonl"));
    this.#routes = new Routes(cluster.gateways.map((gateway) => gateway.base));
  }

  async run(): Promise<Verdict> {
    const { seed, workers: workerCount } = this.#settings;
    await this.#readJournal();
    const client = new RovingClient(this.#routes, this.#ledger);
    const world = new World(client, seededRandom(seed));
    const feed = new Feed(() => this.#routes.next(), { type: ["run", "task"] });
    await Promise.all([registerWorkflows(world), feed.start(), this.#watch()]);
    await undisturbed(world, 4);
    const expected = new Map<string, string>();
    for (const run of world.runs.values()) expected.set(run.variety, await resultOf(client, run.id));
    world.disturbed = true;
    this.#say(`${expected.size} varieties of runs ended undisturbed; the faults begin`);
    const begun = this.#ledger.now();
    const workers = new Workers(world, workerCount);
    const { schedule, finishLanes } = this.#send();
    const sick: string[] = [];
    const heal = schedule.run().then(() => this.#cluster.whole());
    await heal.catch(async (error: Error) => sick.push(`${error.message}\n${await this.#cluster.describe()}`));
    const lanesOpen = await finishLanes();
    const ms = this.#ledger.now() - begun;
    if (sick.length > 0) throw new Error(sick.join("\n"));
    await workers.finish();
    this.#say("the faults are over, the clients have finished");
    await this.#settle();
    feed.stop();
    const wrong = await check({ world, feed, expected, effectsFile: this.#cluster.effects });
    const audit = await auditProblems(this.#cluster.servers.map((server) => server.url));
    await this.#journal.stop();
    await this.#ledger.close();
    const { gaveUp, events, strange } = await this.#compare();
    const { findings } = this.#tallyCheck;
    const unexcused = gaveUp.filter((one) => !schedule.allWereAway(one.from, one.to));
    const streamsResumed = await Promise.all([...world.runs.values()].map((run) => run.stream.catch(() => null)));
    const resumed = streamsResumed.reduce((sum, stream) => sum + (stream === null ? 0 : stream.connections - 1), 0);
    const chain = this.#chains.flatMap((one) => one.findings.chain);
    const lateness = this.#tallyCheck.lateness.toSorted((a, b) => a - b);
    const sum = (of: (chain: ChainCheck) => number): number => this.#chains.reduce((all, one) => all + of(one), 0);
    return {
      seed,
      ms,
      acknowledged: this.#tallyCheck.acknowledged + client.acknowledged,
      faults: schedule.done,
      notes: [
        `${this.#tallyCheck.acknowledged} numbered commands (${this.#tallyCheck.retried} after more than one try, ${this.#tallyCheck.repeated} tries came although the command was there, ${lanesOpen} lanes ended without an answer); ${client.acknowledged} other commands: ${world.runs.size} runs, ${world.tasks.size} tasks, ${world.tries.size} single tries`,
        `${this.#tallyCheck.letters} letters between actors; ${lateness.length} reminders, late by ${lateness[lateness.length >> 1] ?? 0} ms (median), ${lateness.at(-1) ?? 0} ms (worst)`,
        `${sum((one) => one.groups)} groups, ${(sum((one) => one.bytes) / 2 ** 20).toFixed(0)} MiB of journal; ${sum((one) => one.owners)} ownerships of ${partitions} partitions; ${this.#cluster.members.reduce((n, one) => n + one.ended, 0)} processes ended by themselves and were started again`,
        `${gaveUp.length - unexcused.length} commands were given up after 30 s while all processes were being started again at once`,
        `${resumed} resumptions of event streams over SSE, ${feed.connections - 1 + this.#watchers.reduce((n, w) => n + w.connections - 1, 0)} of subscriptions over WebSocket; ${this.#callers.reduce((n, c) => n + c.connections - 1, 0)} reconnections of senders`,
      ],
      broken: [
        { what: "acknowledged commands lost", cases: findings.lost },
        { what: "commands doubled", cases: findings.doubled },
        { what: "commands reordered within an actor", cases: findings.reordered },
        { what: "commits of two owners at once", cases: this.#chains.flatMap((one) => one.findings.owners) },
        { what: "breaks of a journal's chain", cases: chain },
        { what: "letters between actors lost or reordered", cases: findings.lettersLost },
        { what: "letters doubled", cases: findings.lettersDoubled },
        { what: "reminders early", cases: findings.early },
        { what: "reminders late", cases: findings.late },
        { what: "reminders doubled", cases: findings.firedTwice },
        { what: "reminders lost", cases: findings.neverFired },
        { what: "reminders after they were forgotten", cases: findings.firedForgotten },
        { what: "events missed or doubled by resuming subscribers", cases: events },
        { what: "runs and tasks that never ended", cases: workers.stuck },
        { what: "runs, tasks and their events that are not as promised", cases: wrong },
        { what: "answers that must not be", cases: strange },
        { what: "problems found by the audit", cases: audit },
        { what: "times that the cluster did not heal", cases: sick },
        {
          what: "commands given up after 30 s",
          cases: unexcused.map((o) => `${o.what}, from ${o.from} to ${o.to} ms`),
        },
      ],
    };
  }

  async #readJournal(): Promise<void> {
    const codec = await loadCodec();
    const known = new Set(tallies);
    this.#chains = Array.from(
      { length: partitions },
      (_, p) =>
        new ChainCheck(
          p,
          codec,
          (event) => {
            if (event.type === "tally") this.#tallyCheck.take(event);
          },
          (root) => known.has(root),
        ),
    );
    const ports = this.#cluster.servers.map((server) => server.port);
    this.#journal = await JournalReader.start(ports, streams, (p, seq, bytes) => this.#chains[p]?.take(seq, bytes));
  }

  /** One subscriber to everything, the others each to one tally. */
  async #watch(): Promise<void> {
    this.#watchers = Array.from({ length: this.#settings.watchers }, (_, i) => {
      const pattern = i === 0 ? "event.>" : `event.${tallies[i % tallies.length]}.>`;
      const random = seededRandom(this.#settings.seed + 100 + i);
      return new Watcher(`w${i}`, pattern, this.#routes, random, this.#ledger);
    });
    await Promise.all(this.#watchers.map((watcher) => watcher.start()));
  }

  #send(): { schedule: Schedule; finishLanes: () => Promise<number> } {
    const { socketLanes, httpLanes, perSecond, seed } = this.#settings;
    const pace = new Pace(perSecond);
    const http = new HttpCaller(this.#routes);
    const callers = Array.from(
      { length: Math.ceil(socketLanes / lanesPerSocket) },
      () => new SocketCaller(this.#routes),
    );
    this.#callers = callers;
    const parts = {
      cluster: this.#cluster,
      callers,
      watchers: this.#watchers,
      stepDown: async (stream: string) => {
        await this.#journal.connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, "", { timeout: 2_000 });
      },
    };
    const schedule = new Schedule(this.#settings, parts, this.#ledger, (line) => this.#say(line));
    const lanes = Array.from({ length: socketLanes + httpLanes }, (_, i) => {
      const caller = i < socketLanes ? (callers[Math.floor(i / lanesPerSocket)] as SocketCaller) : http;
      const onAnswer = (sent: number, took: number): void => schedule.answered(sent, took);
      const random = seededRandom(seed * 1000 + i);
      const tally = tallies[i % tallies.length] as string;
      return new Lane(`l${i}`, tally, { caller, ledger: this.#ledger, random, pace, onAnswer });
    });
    const running = lanes.map((lane) => lane.run());
    const finishLanes = async (): Promise<number> => {
      for (const lane of lanes) lane.stop();
      pace.stop();
      const ends = await Promise.all(running);
      for (const caller of [...callers, http]) caller.close();
      return ends.filter((end) => end === "open").length;
    };
    return { schedule, finishLanes };
  }

  /** What is on its way arrives; readers and subscribers come to the end. */
  async #settle(): Promise<void> {
    await this.#journal.caughtUp();
    await until(() => this.#tallyCheck.open === 0, 40_000, "letters and reminders", 50).catch(() => undefined);
    await this.#journal.caughtUp();
    const lastOf = (root: string): number =>
      this.#chains.find((one) => one.roots.has(root))?.roots.get(root)?.last ?? 0;
    await until(
      () => this.#watchers.every((w) => [...w.roots].every(([root, { last }]) => last >= lastOf(root))),
      60_000,
      "the watchers",
      50,
    ).catch(() => undefined);
    for (const watcher of this.#watchers) watcher.stop();
  }

  /** The ledger, line by line, against what the streams told. */
  async #compare(): Promise<{ gaveUp: GivenUp[]; events: string[]; strange: string[] }> {
    const gaveUp: GivenUp[] = [];
    const events: string[] = [];
    const strange: string[] = [];
    const watched = new Map<string, Set<string>>();
    const roots = new Map(this.#chains.flatMap((one) => [...one.roots]));
    for await (const line of createInterface({ input: createReadStream(this.#ledger.file) })) {
      const seen = JSON.parse(line) as Seen;
      this.#tallyCheck.compare(seen);
      if (seen[0] === "gave_up") gaveUp.push({ what: seen[1], from: seen[2], to: seen[3] });
      else if (seen[0] === "wrong") strange.push(seen[1]);
      else if (seen[0] === "out_of_turn") events.push(`${seen[1]}: event ${seen[3]} of ${seen[2]} after ${seen[4]}`);
      else if (seen[0] === "watched") {
        const [, watcher, root, last, digest] = seen;
        const told = watched.get(watcher) ?? new Set();
        watched.set(watcher, told.add(root));
        const stored = roots.get(root);
        if (stored === undefined || last !== stored.last)
          events.push(`${watcher} was told ${last} events of ${root}, ${stored?.last} are stored`);
        else if (tallies.includes(root) && digest !== stored.digest.value)
          events.push(`${watcher} was told other events of ${root} than are stored`);
      }
    }
    // The first follows everything: no root may be unknown to it, but those from before its beginning.
    const all = watched.get("w0");
    for (const root of tallies) {
      if (roots.has(root) && all !== undefined && !all.has(root)) events.push(`w0 was told nothing of ${root}`);
    }
    this.#tallyCheck.finish();
    return { gaveUp, events, strange };
  }
}
