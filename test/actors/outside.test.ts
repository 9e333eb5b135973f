/** Calls to addresses that strangers name: what may be called, and how such a call ends. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { newOutside } from "../../src/actors/outside.ts";
import { systemClock } from "../../src/bus/system-clock.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(handle: RequestListener): Promise<number> {
  const server = createServer(handle);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
const call = (allow: string[], url: string, timeoutMs = 5_000) =>
  newOutside(allow, systemClock).call({ method: "GET", url, timeoutMs });

it.each([
  "http://127.0.0.1/",
  "http://127.1/",
  "http://2130706433/",
  "http://0x7f.1/",
  "http://0/",
  "http://10.1.2.3/",
  "http://172.16.0.1/",
  "http://192.168.1.1/",
  "http://100.64.0.1/",
  "http://169.254.169.254/latest/meta-data",
  "http://[::1]/",
  "http://[::]/",
  "http://[fe80::1]/",
  "http://[fd00::1]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[64:ff9b::7f00:1]/",
  "http://[2002:7f00:1::]/",
  "http://224.0.0.1/",
  "http://255.255.255.255/",
  "ftp://example.org/",
  "file:///etc/passwd",
  "https://user:secret@example.org/",
  "nonsense",
])("%s is refused without looking it up", async (url) => {
  expect(() => newOutside([], systemClock).check(url)).toThrowError(expect.objectContaining({ reason: "refused" }));
  await expect(call([], url)).rejects.toMatchObject({ reason: "refused" });
});

it.each(["https://example.org/", "http://8.8.8.8/", "http://[2606:4700::1111]/", "http://a.b.c.example/x?y=1"])(
  "%s may be tried",
  (url) => {
    expect(() => newOutside([], systemClock).check(url)).not.toThrow();
  },
);

it.each(["localhost", "LOCALHOST"])("a name is judged by what it stands for: %s", async (name) => {
  const port = await serve((_, response) => response.end("inside"));
  await expect(call([], `http://${name}:${port}/`)).rejects.toMatchObject({ reason: "refused" });
  await expect(call(["10.0.0.0/8"], `http://${name}:${port}/`)).rejects.toMatchObject({ reason: "refused" });
});

it.each([["127.0.0.1"], ["127.0.0.0/8"], ["localhost"], ["10.0.0.0/8", "127.0.0.1"]])(
  "what the operator names may be called: %s",
  async (...allow) => {
    const port = await serve((_, response) => response.end("inside"));
    const host = allow.includes("localhost") ? "localhost" : "127.0.0.1";
    expect(await call(allow, `http://${host}:${port}/`)).toMatchObject({ status: 200, body: "inside" });
  },
);

it("does not follow a redirect, wherever it leads", async () => {
  let asked = 0;
  const port = await serve((request, response) => {
    asked++;
    response.writeHead(302, { location: request.url === "/" ? "/again" : "http://10.0.0.1/" }).end();
  });
  expect(await call(["127.0.0.1"], `http://127.0.0.1:${port}/`)).toMatchObject({ status: 302 });
  expect(asked).toBe(1);
});

it("keeps a bounded part of an answer, and gives a silent one up", async () => {
  const port = await serve((request, response) => {
    if (request.url === "/silent") return;
    if (request.url === "/half") return void response.writeHead(200).write("begun");
    response.end(Buffer.alloc(2_000_000, "x"));
  });
  const { body } = await call(["127.0.0.1"], `http://127.0.0.1:${port}/`);
  expect(body).toHaveLength(64 * 1024);
  for (const path of ["silent", "half"])
    await expect(call(["127.0.0.1"], `http://127.0.0.1:${port}/${path}`, 200)).rejects.toMatchObject({
      reason: "timed_out",
    });
});

it("tells a closed port, and stops when it is told to", async () => {
  await expect(call(["127.0.0.1"], "http://127.0.0.1:1/")).rejects.toMatchObject({ reason: "unreachable" });
  const port = await serve(() => undefined);
  const abort = new AbortController();
  const url = `http://127.0.0.1:${port}/`;
  const outside = newOutside(["127.0.0.1"], systemClock);
  const waiting = outside.call({ method: "POST", url, body: "{}", timeoutMs: 60_000, signal: abort.signal });
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ reason: "unreachable" });
});
