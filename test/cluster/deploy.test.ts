/** The files under deploy/ and the compose file: read by the programs that they are for. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../src/config.ts";
import { natsServerBinary } from "../support/nats-server.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const credentials = { NATS_USER: "troupe", NATS_PASSWORD: "one", NATS_ROUTE_PASSWORD: "two" };
const routes = Object.fromEntries([1, 2, 3].map((i) => [`NATS_ROUTE_${i}`, `nats://route:two@nats-${i}:6222`]));

test.each([1, 2, 3])("nats-%i.conf is valid, and refuses to start without its credentials", async (i) => {
  const argv = ["-t", "-c", join(root, `deploy/nats-cluster/nats-${i}.conf`)];
  const bin = await natsServerBinary();
  expect(() => execFileSync(bin, argv, { env: { ...credentials, ...routes }, stdio: "pipe" })).not.toThrow();
  for (const name of Object.keys(credentials)) {
    const env: Record<string, string> = { ...credentials, ...routes };
    delete env[name];
    expect(() => execFileSync(bin, argv, { env, stdio: "pipe" })).toThrow();
  }
});

interface Service {
  readonly command?: string[];
  readonly environment?: Record<string, string>;
  readonly volumes?: string[];
  readonly ports?: string[];
  readonly healthcheck?: unknown;
}

test("docker-compose.cluster.yml: three servers, three nodes, two gateways, keys required", () => {
  const text = readFileSync(join(root, "docker-compose.cluster.yml"), "utf8");
  const { services, volumes } = parse(text, { merge: true }) as {
    services: Record<string, Service>;
    volumes: Record<string, unknown>;
  };
  expect(Object.keys(services).sort()).toEqual(
    ["gateway-1", "gateway-2", "nats-1", "nats-2", "nats-3", "node-1", "node-2", "node-3"].sort(),
  );
  expect(Object.keys(volumes)).toHaveLength(3);
  for (const [name, service] of Object.entries(services)) {
    if (name.startsWith("nats")) {
      expect(service.healthcheck).toBeDefined();
      expect(service.ports).toBeUndefined();
      continue;
    }
    const role = name.slice(0, name.indexOf("-"));
    expect(service.command).toEqual(["start", "--role", role]);
    const { TROUPE_API_KEYS, NATS_PASSWORD, ...rest } = service.environment ?? {};
    expect(NATS_PASSWORD).toContain(":?");
    if (role === "gateway") expect(TROUPE_API_KEYS).toContain(":?");
    const env = Object.fromEntries(Object.entries(rest).map(([k, v]) => [k, v.replace(/^\$\{\w+:-(.*)\}$/, "$1")]));
    const given = {
      ...env,
      HOST: "0.0.0.0",
      NATS_PASSWORD: "one",
      ...(role === "gateway" ? { TROUPE_API_KEYS: "me:k" } : {}),
    };
    const config = loadConfig({ role }, given);
    expect(config.natsUrls).toHaveLength(3);
    expect(config.replicas).toBe(3);
  }
});
