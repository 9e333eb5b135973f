/**
 * Three nats-servers as one cluster that says when it is whole again. They do not tell clients of each other, so
 * that every connection of a client goes through its relays.
 */
import { fetchAll } from "../chaos/http.ts";
import { lastingPort } from "../support/free-port.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { until } from "../support/until.ts";

export interface ClusterServer extends TestNatsServer {
  readonly name: string;
  /** True when its JetStream has caught up with the others. */
  healthy(): Promise<boolean>;
}

export async function startNatsServers(size = 3): Promise<ClusterServer[]> {
  const routes: number[] = [];
  for (let i = 0; i < size; i++) routes.push(await lastingPort());
  const servers: Promise<ClusterServer>[] = [];
  for (let i = 0; i < size; i++) servers.push(startOne(i, routes, await lastingPort(), await lastingPort()));
  const all = await Promise.all(servers);
  await whole(all);
  return all;
}

/** Resolves when every server has all that the others have. */
export async function whole(servers: readonly ClusterServer[], msMax = 120_000): Promise<void> {
  for (const server of servers) await until(() => server.healthy(), msMax, `${server.name} to be healthy`, 50);
}

async function startOne(i: number, routes: readonly number[], port: number, http: number): Promise<ClusterServer> {
  const name = `nats-${i + 1}`;
  const server = await startNatsServer({
    port,
    extra: `server_name: ${name}
http: "127.0.0.1:${http}"
cluster {
  name: chaos
  no_advertise: true
  listen: "127.0.0.1:${routes[i]}"
  routes: [${routes.map((route) => `"nats://127.0.0.1:${route}"`).join(", ")}]
}`,
  });
  const healthy = async (): Promise<boolean> => {
    const answer = await fetchAll(`http://127.0.0.1:${http}/healthz`, { silenceMs: 3_000 }).catch(() => null);
    return answer?.status === 200;
  };
  return Object.defineProperties({ name, healthy }, Object.getOwnPropertyDescriptors(server)) as ClusterServer;
}
