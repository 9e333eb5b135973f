/** Each way to show oneself to a NATS server, from the settings to a connection, against a server that demands it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createUser } from "@nats-io/nkeys";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { connectNats } from "../../src/bus/nats/bus.ts";
import { silentLogger } from "../../src/bus/nats/options.ts";
import { ensureServer } from "../../src/bus/server/ensure.ts";
import { loadConfig } from "../../src/config.ts";
import { natsOptions } from "../../src/start-nats.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";

let directory: string;
const at = (name: string) => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "troupe-credentials-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Connects as `troupe start` would with these settings; gives the server's version. */
async function connectWith(env: Record<string, string>): Promise<string> {
  const config = loadConfig({}, env);
  const quiet = { debug() {}, ...silentLogger };
  const server = await ensureServer(config, quiet);
  const bus = await connectNats({ ...natsOptions(config, server, silentLogger), startTimeoutMs: 3000 });
  await bus.close();
  return bus.serverVersion;
}

async function demanding(extra: string): Promise<TestNatsServer> {
  const server = await startNatsServer({ extra });
  onTestFinished(() => server.stop());
  return server;
}

test("user and password: from the variables or the address; a wrong one is refused at once", async () => {
  const { url, port } = await demanding(`authorization { user: "me", password: "se/cret" }`);
  await expect(connectWith({ NATS_URL: url, NATS_USER: "me", NATS_PASSWORD: "se/cret" })).resolves.toMatch(/^2\./);
  await expect(connectWith({ NATS_URL: `nats://me:se%2Fcret@127.0.0.1:${port}` })).resolves.toMatch(/^2\./);
  await expect(connectWith({ NATS_URL: url, NATS_USER: "me", NATS_PASSWORD: "no" })).rejects.toThrow(/uthorization/);
  await expect(connectWith({ NATS_URL: url })).rejects.toThrow(/uthorization/);
});

test("token: from the variable or the address", async () => {
  const { url, port } = await demanding(`authorization { token: "t0ken" }`);
  await expect(connectWith({ NATS_URL: url, NATS_TOKEN: "t0ken" })).resolves.toMatch(/^2\./);
  await expect(connectWith({ NATS_URL: `nats://t0ken@127.0.0.1:${port}` })).resolves.toMatch(/^2\./);
  await expect(connectWith({ NATS_URL: url, NATS_TOKEN: "other" })).rejects.toThrow(/uthorization/);
});

test("nkey", async () => {
  const user = createUser();
  const { url } = await demanding(`authorization { users: [ { nkey: "${user.getPublicKey()}" } ] }`);
  writeFileSync(at("user.nk"), `${new TextDecoder().decode(user.getSeed())}\n`);
  await expect(connectWith({ NATS_URL: url, NATS_NKEY: at("user.nk") })).resolves.toMatch(/^2\./);
  writeFileSync(at("other.nk"), createUser().getSeed());
  await expect(connectWith({ NATS_URL: url, NATS_NKEY: at("other.nk") })).rejects.toThrow(/uthorization/);
});

test("TLS: with the authority, and with a client certificate where one is demanded", { timeout: 60_000 }, async () => {
  const openssl = (...argv: string[]) => execFileSync("openssl", argv, { cwd: directory, stdio: "pipe" });
  const subject = (name: string) => [
    "-subj",
    `/CN=${name}`,
    "-nodes",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
  ];
  openssl("req", "-x509", ...subject("authority"), "-days", "2", "-keyout", "ca.key", "-out", "ca.pem");
  writeFileSync(at("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost");
  for (const name of ["server", "client"]) {
    openssl("req", ...subject(name), "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
    openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-out", `${name}.pem`);
  }
  const files = `cert_file: "${at("server.pem")}", key_file: "${at("server.key")}", ca_file: "${at("ca.pem")}"`;
  const plain = await demanding(`tls { ${files} }`);
  await expect(connectWith({ NATS_URL: plain.url, NATS_TLS_CA: at("ca.pem") })).resolves.toMatch(/^2\./);
  const tls = plain.url.replace("nats:", "tls:");
  await expect(connectWith({ NATS_URL: tls, NATS_TLS_CA: at("ca.pem") })).resolves.toMatch(/^2\./);
  await expect(connectWith({ NATS_URL: plain.url })).rejects.toThrow(/certificate|TLS|self/i);
  const mutual = await demanding(`tls { ${files}, verify: true }`);
  const client = { NATS_TLS_CERT: at("client.pem"), NATS_TLS_KEY: at("client.key") };
  await expect(connectWith({ NATS_URL: mutual.url, NATS_TLS_CA: at("ca.pem"), ...client })).resolves.toMatch(/^2\./);
  await expect(connectWith({ NATS_URL: mutual.url, NATS_TLS_CA: at("ca.pem") })).rejects.toThrow();
});
