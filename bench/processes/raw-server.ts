/**
 * The raw limits' server: uWebSockets with nothing behind it (GET /), with one JetStream publish behind it
 * (POST /bridge), and with its own fan-out (POST /publish to all at /ws).
 */
import { systemClock } from "../../src/bus/system-clock.ts";
import { httpServer, serverBuild } from "../../src/gateway/uws.ts";
import { serve } from "../process.ts";
import { RawStore } from "../raw-store.ts";
import type { Access } from "../store.ts";

interface Listening {
  readonly store: Access | null;
  readonly message?: string;
  readonly replicas?: number;
}

export const handlers = { listen };
if (process.send !== undefined) serve(handlers);

const topic = "hot";

/** Gives the port. `message`: what POST /publish sends. */
async function listen({ store, message = "", replicas = 1 }: Listening): Promise<number> {
  const raw = store === null ? null : await RawStore.open(store, replicas);
  const subjects = raw === null ? [] : Array.from({ length: 8 }, (_, i) => raw.subject(i));
  const bytes = Buffer.from(message);
  let turn = 0;
  if (serverBuild() !== "native") throw new Error("the raw limits are those of the native server; it is not installed");
  const server = httpServer("native", systemClock);
  const app = server.newApp();
  app.get("/", (res) => void res.end("hello"));
  app.post("/bridge", (res) => {
    let gone = false;
    let body = Buffer.alloc(0);
    res.onAborted(() => {
      gone = true;
    });
    res.onData((chunk, last) => {
      body = Buffer.concat([body, Buffer.from(chunk)]);
      if (!last || raw === null) return;
      raw.publish(subjects[turn++ % subjects.length] as string, body).then(
        () => gone || res.cork(() => res.writeStatus("202 Accepted").end("{}")),
        () => gone || res.cork(() => res.writeStatus("503 Service Unavailable").end("{}")),
      );
    });
  });
  app.post("/publish", (res) => {
    res.onAborted(() => {});
    res.onData((_chunk, last) => {
      if (!last) return;
      app.publish(topic, bytes, false);
      res.writeStatus("202 Accepted").end("{}");
    });
  });
  app.ws("/ws", { idleTimeout: 120, maxBackpressure: 2 ** 30, open: (ws) => void ws.subscribe(topic) });
  return new Promise((resolve, reject) => {
    app.listen("127.0.0.1", 0, (socket) =>
      socket === false ? reject(new Error("no port")) : resolve(server.portOf(socket)),
    );
  });
}
