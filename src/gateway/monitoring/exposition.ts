/**
 * The metrics by name, as Prometheus reads them. Values are read from what the parts count anyway, at
 * the time of a scrape: a process that nobody scrapes pays nothing. Owns names, help and labels.
 */
import { collectDefaultMetrics, type Metric, prometheusContentType, Registry } from "prom-client";
import type { Runtime, Tally } from "../../actors/client.ts";
import type { Distributed } from "../../distribution.ts";
import type { Traffic } from "./traffic.ts";
import { activeAgents, activeTasks } from "./words.ts";

type Labels = Readonly<Record<string, string | number>>;
interface Sample {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}
type Kind = "counter" | "gauge" | "histogram";

/** Of the process: memory, CPU, event loop, garbage. Shared: its observers cannot be taken down again. */
let processRegistry: Registry | undefined;

export class Exposition {
  readonly contentType = prometheusContentType;
  readonly #registry = new Registry();
  readonly #runtime: Runtime;
  readonly #traffic: Traffic;
  #tally: Tally | undefined;

  constructor(runtime: Runtime, traffic: Traffic, version: string) {
    this.#runtime = runtime;
    this.#traffic = traffic;
    this.#add("troupe_info", "gauge", "1; the labels say what runs here", () => [
      { labels: { version, nats: runtime.status().nats.version }, value: 1 },
    ]);
    this.#addPlatform();
    this.#addHttp();
    this.#addRuntime();
    this.#addPartitions();
  }

  /** `tally`: the cluster's sums, when they are known. */
  async text(tally: Tally | undefined): Promise<string> {
    this.#tally = tally;
    if (processRegistry === undefined) {
      processRegistry = new Registry();
      collectDefaultMetrics({ register: processRegistry });
    }
    return `${await this.#registry.metrics()}\n${await processRegistry.metrics()}`;
  }

  /** The cluster as a whole: the same from every process, so a query takes the maximum, not the sum. */
  #addPlatform(): void {
    const known = (read: (tally: Tally) => number) => () => {
      const tally = this.#tally;
      return tally === undefined ? [] : [{ labels: {}, value: read(tally) }];
    };
    this.#add(
      "agent_platform_active_agents_total",
      "gauge",
      "Agents of the cluster that are neither unavailable nor gone",
      known(activeAgents),
    );
    this.#add(
      "agent_platform_active_tasks_total",
      "gauge",
      "Tasks of the cluster that have not ended",
      known(activeTasks),
    );
    this.#add("troupe_cluster_actors", "gauge", "Actors of the cluster by type and status", () =>
      Object.entries(this.#tally?.counts ?? {}).flatMap(([type, byStatus]) =>
        Object.entries(byStatus)
          .filter(([status]) => status !== "")
          .map(([status, value]) => ({ labels: { type, status }, value })),
      ),
    );
  }

  #addHttp(): void {
    const traffic = this.#traffic;
    this.#add("http_requests_total", "counter", "HTTP requests answered, by method, path template and status", () =>
      [...traffic.routes()].flatMap(({ method, path, byStatus }) =>
        [...byStatus].map(([status, value]) => ({ labels: { method, path, status }, value })),
      ),
    );
    this.#histogram(
      "http_request_duration_seconds",
      "From the request to the end of its answer (of an event stream: to its beginning)",
      () => [...traffic.routes()].map(({ method, path, seconds }) => [{ method, path }, seconds] as const),
    );
    this.#add("websocket_connections_total", "gauge", "WebSocket clients connected now", () => [
      { labels: {}, value: traffic.socketsTotal },
    ]);
    this.#add("troupe_websocket_clients", "gauge", "WebSocket clients connected now, by endpoint", () =>
      [...traffic.sockets].map(([endpoint, value]) => ({ labels: { endpoint }, value })),
    );
    this.#add("troupe_sse_clients", "gauge", "Event streams (SSE) open now", () => [
      { labels: {}, value: traffic.streams },
    ]);
  }

  #addRuntime(): void {
    const { measures } = this.#runtime;
    const one = (read: () => number) => () => [{ labels: {}, value: read() }];
    this.#add(
      "troupe_steps_total",
      "counter",
      "Commands handled and committed",
      one(() => measures.steps),
    );
    this.#add(
      "troupe_commits_total",
      "counter",
      "Groups stored in a journal",
      one(() => measures.commitSteps.count),
    );
    this.#add(
      "troupe_commits_without_room_total",
      "counter",
      "Commits that the store had no room for",
      one(() => measures.commitsWithoutRoom),
    );
    this.#add(
      "troupe_activations_total",
      "counter",
      "Actors brought into memory from their records",
      one(() => measures.activations),
    );
    this.#add(
      "troupe_reminders_total",
      "counter",
      "Reminders that came due",
      one(() => measures.reminderSeconds.count),
    );
    this.#add(
      "troupe_takeovers_total",
      "counter",
      "Partitions taken over",
      one(() => measures.takeoverSeconds.count),
    );
    const whole = (of: Distributed) => () => [[{}, of] as const];
    this.#histogram("troupe_commit_steps", "Steps in a group", whole(measures.commitSteps));
    this.#histogram("troupe_commit_bytes", "Bytes of a group", whole(measures.commitBytes));
    this.#histogram(
      "troupe_commit_duration_seconds",
      "From publishing a group to knowing that it is stored",
      whole(measures.commitSeconds),
    );
    this.#histogram(
      "troupe_mail_delivery_seconds",
      "From the commit that holds a letter to its acknowledgement by the other partition",
      whole(measures.mailSeconds),
    );
    this.#histogram("troupe_reminder_lateness_seconds", "How late reminders came", whole(measures.reminderSeconds));
    this.#histogram(
      "troupe_takeover_duration_seconds",
      "How long until a partition that was taken over served",
      whole(measures.takeoverSeconds),
    );
  }

  /** Of the partitions that this process owns; a sum over all processes is the cluster's. */
  #addPartitions(): void {
    const status = () => this.#runtime.status();
    const own = () => status().partitions.filter(({ state }) => state !== "elsewhere");
    this.#add("troupe_partition_serving", "gauge", "1: this process owns and serves the partition", () =>
      own().map(({ partition, state }) => ({ labels: { partition }, value: state === "serving" ? 1 : 0 })),
    );
    this.#add("troupe_partition_actors", "gauge", "Actors of the partition", () =>
      own().map(({ partition, actors }) => ({ labels: { partition }, value: actors })),
    );
    this.#add("troupe_partition_dirty", "gauge", "Changed actors that wait for their record", () =>
      own().map(({ partition, dirty }) => ({ labels: { partition }, value: dirty })),
    );
    this.#add("troupe_partition_lag", "gauge", "Sequences of the journal that a take-over would read", () =>
      own().map(({ partition, lag }) => ({ labels: { partition }, value: lag })),
    );
    this.#add("troupe_partition_waiting", "gauge", "Commands that wait for the partition", () =>
      own().map(({ partition, waiting }) => ({ labels: { partition }, value: waiting })),
    );
    this.#add("troupe_mail_waiting", "gauge", "Letters to other partitions that are not acknowledged", () =>
      own().map(({ partition, mail }) => ({ labels: { partition }, value: mail })),
    );
    this.#add("troupe_asks_waiting", "gauge", "Asks of this process without an answer yet", () => [
      { labels: {}, value: status().counters.asks_waiting ?? 0 },
    ]);
    this.#add("troupe_actors_in_memory", "gauge", "Actors in memory", () => [
      { labels: {}, value: status().counters.active_actors ?? 0 },
    ]);
    this.#add("troupe_hosted_attempts", "gauge", "Attempts of the agents hosted here, by agent type and state", () =>
      status().hosted.flatMap(({ type, running, waiting }) => [
        { labels: { type, state: "running" }, value: running },
        { labels: { type, state: "waiting" }, value: waiting },
      ]),
    );
  }

  /** prom-client's registry takes whatever can be read like one of its own metrics. */
  #add(name: string, type: Kind, help: string, read: () => Sample[]): void {
    const metric = { name, help, type, aggregator: "sum", get: async () => ({ name, help, type, values: read() }) };
    this.#registry.registerMetric(metric as unknown as Metric);
  }

  #histogram(name: string, help: string, read: () => (readonly [Labels, Distributed])[]): void {
    this.#add(name, "histogram", help, () => read().flatMap(([labels, of]) => samplesOf(name, labels, of)));
  }
}

function samplesOf(name: string, labels: Labels, of: Distributed): Sample[] {
  const samples: Sample[] = [];
  let below = 0;
  for (let i = 0; i < of.bounds.length; i++) {
    below += of.counts[i] as number;
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: of.bounds[i] as number }, value: below });
  }
  samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: of.count });
  samples.push({ metricName: `${name}_sum`, labels, value: of.sum });
  samples.push({ metricName: `${name}_count`, labels, value: of.count });
  return samples;
}
