import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cli } from "./harness.ts";
import { type Recorded, refuse, reply, Stub } from "./stub.ts";

let stub: Stub;
const at = (): string[] => ["--url", stub.url];

beforeEach(async () => {
  stub = await new Stub().listen();
});
afterEach(() => stub.close());

describe("what is sent", () => {
  test("run puts --input, --file and --set together and prints the id alone", async () => {
    const folder = await mkdtemp(join(tmpdir(), "troupe-test-"));
    await writeFile(join(folder, "doc.md"), "\ufeff# Hé\n");
    const argv = ["run", "document-brief@1.0.0", "--input", '{"title":"T"}', "--file", join(folder, "doc.md")];
    const sets = ["--set", "auto_approve=true", "--set", "a.b=text", "--set", "__proto__.x=1", "--label", "k=v=w"];
    const one = cli([...argv, ...sets, ...at()], { environment: { key: "secret" } });
    expect(await one.code).toBe(0);
    expect(one.out.text).toBe("r1\n");
    const { body, headers } = stub.requests[0] as Recorded;
    expect(body).toEqual({
      workflow: { name: "document-brief", version: "1.0.0" },
      input: JSON.parse('{"title":"T","text":"# Hé\\n","auto_approve":true,"a":{"b":"text"},"__proto__":{"x":1}}'),
      labels: { k: "v=w" },
    });
    expect(headers["x-api-key"]).toBe("secret");
    expect(headers["idempotency-key"]).toMatch(/^\w{20,}$/);
  });

  test("run reads its input from stdin", async () => {
    const one = cli(["run", "echo", "--input", "-", "--idempotency-key", "k1", ...at()]);
    one.stdin.end('"hello"');
    expect(await one.code).toBe(0);
    expect(stub.requests[0]).toMatchObject({ body: { input: "hello" }, headers: { "idempotency-key": "k1" } });
  });

  test("run is sent again under the same key when the connection breaks", async () => {
    let calls = 0;
    stub.routes.set("POST /v1/runs", (_request, response) => {
      if (calls++ === 0) response.destroy();
      else reply(response, 201, { run: stub.run });
    });
    expect(await cli(["run", "echo", ...at()]).code).toBe(0);
    const keys = stub.requests.map((request) => request.headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });

  test("a decision goes to the only open checkpoint", async () => {
    stub.run.checkpoints = [
      { checkpoint_id: "c0", status: "approved" },
      { checkpoint_id: "c1", status: "required", title: "Sure?" },
    ];
    const one = cli(["reject", "r1", "--note", "no", ...at()]);
    expect(await one.code).toBe(0);
    expect(one.out.text).toBe("Sure?: rejected\n");
    expect(stub.requests.at(-1)).toMatchObject({ path: "/v1/runs/r1/human/c1/reject", body: { note: "no" } });
    expect(await cli(["approve", "r1", ...at()]).code).toBe(1);
  });

  test("a decision with several open checkpoints asks which", async () => {
    stub.run.checkpoints = ["c1", "c2"].map((checkpoint_id) => ({ checkpoint_id, status: "required" }));
    const one = cli(["approve", "r1", ...at()]);
    expect(await one.code).toBe(2);
    expect(one.err.text).toContain("c1, c2");
  });

  test("plain text becomes the one text field that a checkpoint asks for", async () => {
    const required_schema = { type: "object", properties: { summary: { type: "string" } }, required: ["summary"] };
    stub.run.checkpoints = [{ checkpoint_id: "c1", status: "required", required_schema }];
    expect(await cli(["input", "r1", "--text", "shorter", ...at()]).code).toBe(0);
    expect(stub.requests.at(-1)?.body).toEqual({ input: { summary: "shorter" } });
  });

  test("lists read as many pages as the limit takes", async () => {
    stub.routes.set("GET /v1/runs", ({ path }, response) => {
      const { searchParams } = new URL(path, stub.url);
      const limit = Number(searchParams.get("limit"));
      const first = searchParams.get("cursor") === null;
      const data = Array.from({ length: limit }, (_, i) => ({ ...stub.run, run_id: `r${first ? i : 200 + i}` }));
      reply(response, 200, { data, next_cursor: "more" });
    });
    const one = cli(["runs", "list", "--limit", "250", "--status", "running", ...at()]);
    expect(await one.code).toBe(0);
    expect(one.out.text.split("\n")).toHaveLength(252);
    expect(one.out.text).toContain("r249 ");
    expect(stub.requests.map((request) => request.path)).toEqual([
      "/v1/runs?status=running&limit=200",
      "/v1/runs?status=running&limit=50&cursor=more",
    ]);
  });
});

describe("how it ends", () => {
  test.each([
    [404, "not_found", 4],
    [401, "unauthenticated", 5],
    [403, "forbidden", 5],
    [409, "conflict", 1],
    [500, "internal", 1],
  ])("%i %s is exit code %i, one line with the correlation id", async (status, code, exit) => {
    stub.routes.set("GET /v1/runs/x", (_request, response) => refuse(response, status, code, "It is so.\nReally."));
    const one = cli(["runs", "show", "x", ...at()]);
    expect(await one.code).toBe(exit);
    expect(one.err.text.split("\n")[0]).toBe(`error: ${code}: It is so. Really. (correlation id c-42)`);
    expect(one.out.text).toBe("");
  });

  test("nobody there is 3, and says what to do", async () => {
    const argv = ["status", ...at()];
    await stub.close();
    const one = cli(argv);
    expect(await one.code).toBe(3);
    expect(one.err.text).toMatch(/^error: unreachable: cannot reach http.* \(ECONNREFUSED\)\n {2}Start a server/);
    await stub.listen();
  });

  test.each([
    [["run"]],
    [["nonsense"]],
    [["run", "echo", "--input", "{"]],
    [["run", "echo", "--file", "/does/not/exist"]],
    [["run", "echo@"]],
    [["run", "echo", "--timeout", "soon"]],
    [["runs", "list", "--status", "happy"]],
    [["input", "r1"]],
    [["status", "--url", "ftp://x"]],
  ])("%j is a usage error: 2, one error, nothing sent", async (argv) => {
    const one = cli(argv.includes("--url") ? argv : [...argv, ...at()]);
    expect(await one.code).toBe(2);
    expect(one.err.text.match(/^error: /gm)).toHaveLength(1);
    expect(stub.requests).toEqual([]);
  });

  test("help knows every command and the exit codes", async () => {
    const one = cli(["--help"]);
    expect(await one.code).toBe(0);
    for (const word of ["start", "run ", "runs", "approve", "workflows", "tasks", "tail", "status", "130"]) {
      expect(one.out.text).toContain(word);
    }
    const two = cli(["help", "exit-codes"]);
    expect(await two.code).toBe(0);
    expect(two.out.text).toMatch(/ {2}6 {2}--timeout ran out/);
  });

  test("start is the injected function", async () => {
    expect(await cli(["start"], { start: () => Promise.resolve(7) }).code).toBe(7);
  });

  test("Ctrl-C while stdin is read is 130", async () => {
    const one = cli(["run", "echo", "--input", "-", ...at()]);
    one.interrupt();
    expect(await one.code).toBe(130);
    expect(stub.requests).toEqual([]);
  });

  test("Ctrl-C during a request is 130", async () => {
    const asked = new Promise<void>((resolve) => stub.routes.set("GET /v1/status", () => resolve()));
    const one = cli(["status", ...at()]);
    await asked;
    one.interrupt();
    expect(await one.code).toBe(130);
  });
});

describe("artifacts", () => {
  const file = { download_url: "/files/1?sig=x", size_bytes: 3 };
  beforeEach(() => {
    stub.routes.set("GET /v1/artifacts/a1", (_request, response) =>
      reply(response, 200, { artifact_id: "a1", type: "file", name: "../../evil.md", file }),
    );
    stub.routes.set("GET /files/1", (_request, response) => response.end("abc"));
  });

  test("get streams a file to stdout, without the credential", async () => {
    const one = cli(["artifacts", "get", "a1", ...at()], { environment: { key: "secret" } });
    expect(await one.code).toBe(0);
    expect(one.out.text).toBe("abc");
    expect(stub.requests.at(-1)?.headers["x-api-key"]).toBeUndefined();
  });

  test("get -o directory keeps the last part of the name, inside", async () => {
    const folder = await mkdtemp(join(tmpdir(), "troupe-test-"));
    expect(await cli(["artifacts", "get", "a1", "-o", folder, ...at()]).code).toBe(0);
    expect(await readdir(folder)).toEqual(["evil.md"]);
    expect(await readFile(join(folder, "evil.md"), "utf8")).toBe("abc");
  });

  test("a damaged file is refused and leaves nothing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "troupe-test-"));
    stub.routes.set("GET /v1/artifacts/a1", (_request, response) =>
      reply(response, 200, { artifact_id: "a1", type: "file", name: "x", file: { ...file, sha256: "00" } }),
    );
    const one = cli(["artifacts", "get", "a1", "-o", join(folder, "x"), ...at()]);
    expect(await one.code).toBe(1);
    expect(one.err.text).toContain("damaged");
    expect(await readdir(folder)).toEqual([]);
  });

  test("a record goes out as its JSON", async () => {
    stub.routes.set("GET /v1/artifacts/a2", (_request, response) =>
      reply(response, 200, { artifact_id: "a2", type: "record", name: "r", data: { x: 1 } }),
    );
    const one = cli(["artifacts", "get", "a2", ...at()]);
    expect(await one.code).toBe(0);
    expect(JSON.parse(one.out.text)).toEqual({ x: 1 });
  });
});
