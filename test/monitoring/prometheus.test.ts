/**
 * Prometheus itself against a real Troupe: it accepts the configuration, scrapes, and finds rows for
 * every query of the dashboard and for every metric that an alert names. Prometheus comes from the
 * system's packages; where there is none, only continuous integration insists.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { parse, stringify } from "yaml";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";

const deploy = fileURLToPath(new URL("../../deploy", import.meta.url));
const read = (path: string): string => readFileSync(join(deploy, path), "utf8");

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
}
const dashboard = JSON.parse(read("grafana/dashboards/troupe.json")) as { uid: string; panels: Panel[] };
const queries = dashboard.panels.flatMap(({ title, targets }) =>
  (targets ?? []).map(({ expr, refId }) => [`${title} ${refId}`, expr] as const),
);
interface Alerts {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[];
}
const rules = (parse(read("prometheus/alerts.yml")) as Alerts).groups.flatMap((group) => group.rules);

function installed(): boolean {
  try {
    execFileSync("promtool", ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

describe("the dashboard as a file", () => {
  test("every panel has a place of its own, a query, and the data source that is provisioned", () => {
    const [source] = (parse(read("grafana/provisioning/datasources/prometheus.yml")) as { datasources: Panel[] })
      .datasources;
    const taken = new Set<string>();
    for (const { type, title, gridPos, targets, datasource } of dashboard.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`), `${title} at ${x},${y}`).toBe(false);
          taken.add(`${x},${y}`);
        }
      }
      if (type === "row") continue;
      expect(targets?.length, title).toBeGreaterThan(0);
      expect(datasource?.uid, title).toBe((source as unknown as { uid: string }).uid);
    }
  });

  test("docker-compose.monitoring.yml mounts what is there, and demands a password", () => {
    const text = readFileSync(join(deploy, "../docker-compose.monitoring.yml"), "utf8");
    const { services } = parse(text) as {
      services: Record<string, { volumes: string[]; environment?: Record<string, string> }>;
    };
    const mounted = Object.values(services).flatMap(({ volumes }) => volumes.filter((one) => one.startsWith("./")));
    expect(mounted).toHaveLength(3);
    for (const one of mounted) expect(existsSync(join(deploy, "..", one.split(":")[0] as string)), one).toBe(true);
    expect(services.grafana?.environment?.GF_SECURITY_ADMIN_PASSWORD).toMatch(/^\$\{GRAFANA_PASSWORD:\?/);
    const provider = parse(read("grafana/provisioning/dashboards/troupe.yml")) as {
      providers: { options: { path: string } }[];
    };
    const path = provider.providers[0]?.options.path;
    expect(services.grafana?.volumes).toContain(`./deploy/grafana/dashboards:${path}:ro`);
  });

  test("it asks what the dashboard of contract 004 asks: the label `status`, and who is up", () => {
    const all = queries.map(([, expr]) => expr).join("\n");
    expect(all).toContain('up{job="api-server"}');
    expect(all).toContain("sum by (status) (rate(http_requests_total");
    for (const name of [
      "http_request_duration_seconds",
      "agent_platform_active_agents_total",
      "agent_platform_active_tasks_total",
      "websocket_connections_total",
    ]) {
      expect(all).toContain(name);
    }
  });
});

describe.skipIf(!installed() && process.env.CI === undefined)("Prometheus", () => {
  let troupe: Troupe;
  let folder: string;
  let prometheus: ChildProcess | undefined;
  let at: string;
  let socket: WebSocket | undefined;
  let said = "";

  beforeAll(async () => {
    troupe = await startTroupe();
    folder = mkdtempSync(join(tmpdir(), "troupe-prometheus-"));
    cpSync(join(deploy, "prometheus"), folder, { recursive: true });
    // The file as it is, but for whom it scrapes and how often.
    const config = parse(read("prometheus/prometheus.yml"));
    config.global = { scrape_interval: "1s", evaluation_interval: "1s" };
    config.scrape_configs[0].static_configs[0].targets = [new URL(troupe.base).host];
    writeFileSync(join(folder, "prometheus.yml"), stringify(config));
    const listen = `127.0.0.1:${await freePort()}`;
    at = `http://${listen}`;
    prometheus = spawn(
      "prometheus",
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${listen}`,
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    prometheus.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-20_000);
    });
    await until(
      async () => {
        if (prometheus?.exitCode !== null) throw new Error(`prometheus ended: ${said}`);
        return (await fetch(`${at}/-/ready`).catch(() => null))?.ok === true;
      },
      60_000,
      "Prometheus",
    );
  }, 120_000);

  afterAll(async () => {
    socket?.terminate();
    if (prometheus !== undefined && prometheus.exitCode === null) {
      const ended = once(prometheus, "exit");
      prometheus.kill("SIGKILL");
      await ended;
    }
    await troupe?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  /** Values of all rows now. Throws what Prometheus says of a bad query. */
  async function ask(expr: string): Promise<number[]> {
    const query = expr.replaceAll("$__rate_interval", "1m");
    const answer = await fetch(`${at}/api/v1/query?${new URLSearchParams({ query })}`);
    const { status, data, error } = (await answer.json()) as {
      status: string;
      error?: string;
      data: { result: { value: [number, string] }[] };
    };
    if (status !== "success") throw new Error(`${expr}: ${error}`);
    return data.result.map(({ value }) => Number(value[1]));
  }

  async function post(path: string, body: unknown): Promise<Record<string, { task_id: string }>> {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(troupe.base + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Record<string, { task_id: string }>;
  }

  /** A bit of everything: tasks that depend on each other over partitions, a run, a deadline, a refusal. */
  async function work(): Promise<void> {
    const first = await post("/v1/tasks", { task_type: "echo", input: 1 });
    const dependencies = [first.task?.task_id];
    for (let i = 0; i < 5; i++) await post("/v1/tasks", { task_type: "echo", input: i, dependencies });
    await post("/v1/runs", { workflow: { name: "echo" }, input: { hello: "metrics" } });
    const deadline = new Date(Date.now() + 1000).toISOString();
    await post("/v1/tasks", { task_type: "nobody-does-this", input: null, deadline });
    await fetch(`${troupe.base}/v1/tasks/nobody`);
  }

  test("accepts the configuration and the alerts", () => {
    const check = execFileSync("promtool", ["check", "config", join(deploy, "prometheus/prometheus.yml")]);
    expect(check.toString()).toContain("SUCCESS");
    expect(rules.length).toBeGreaterThan(3);
  });

  test("likes the exposition: promtool finds nothing wrong but names that a published contract chose", async () => {
    const body = await (await fetch(`${troupe.base}/metrics`)).text();
    let found = "";
    try {
      execFileSync("promtool", ["check", "metrics"], { input: body, stdio: "pipe" });
    } catch (error) {
      found = String((error as { stderr: Buffer }).stderr);
    }
    const ours = found
      .split("\n")
      .filter((line) => line.includes(" ") && !line.startsWith("nodejs_"))
      .filter((line) => !/^(agent_platform_active_|websocket_connections_total)/.test(line));
    expect(ours).toEqual([]);
  });

  test("finds rows for every query of the dashboard, and all of them numbers", async () => {
    socket = new WebSocket(`${troupe.base.replace("http", "ws")}/v1/ws`);
    await once(socket, "open");
    const missing = new Map(queries);
    await until(
      async () => {
        await work();
        for (const [title, expr] of [...missing]) {
          const values = await ask(expr);
          if (values.length > 0 && values.every((value) => Number.isFinite(value))) missing.delete(title);
        }
        return missing.size === 0;
      },
      90_000,
      "every panel",
    ).catch((error: Error) => {
      throw new Error(`${error.message} Without rows: ${[...missing.keys()].join("; ")}`);
    });
    expect(await ask('sum(up{job="api-server"})')).toEqual([1]);
    expect(await ask("sum(websocket_connections_total)")).toEqual([1]);
    expect((await ask('max(troupe_cluster_actors{type="task",status="completed"})'))[0]).toBeGreaterThan(5);
  }, 120_000);

  test("knows every metric that an alert asks for, and none of them fires", async () => {
    const names = [...rules.flatMap(({ expr }) => expr.match(/\b(?:troupe|http)_[a-z_]+/g) ?? [])];
    for (const name of new Set(names)) expect(await ask(`count(${name})`), name).not.toEqual([]);
    const { data } = (await (await fetch(`${at}/api/v1/alerts`)).json()) as { data: { alerts: { state: string }[] } };
    expect(data.alerts.filter(({ state }) => state === "firing")).toEqual([]);
    const { data: told } = (await (await fetch(`${at}/api/v1/rules`)).json()) as {
      data: { groups: { rules: { health: string; lastError?: string }[] }[] };
    };
    expect(told.groups.flatMap((group) => group.rules).filter(({ health }) => health === "err")).toEqual([]);
  });
});
