/**
 * The example page, built by Vite and used in a real browser: a chat with steps of the shared state, an approval,
 * a workflow's steps and its checkpoint, and a reload in the middle of an interrupt.
 */
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LLMock } from "@copilotkit/aimock";
import { type Browser, chromium, type Page } from "playwright-core";
import { build, type PreviewServer, preview } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toTroupe } from "../../examples/ag-ui-web/vite.config.ts";
import { findChromium } from "./support/chromium.ts";
import { TroupeProcess } from "./support/node.ts";

const executablePath = findChromium();
const root = join(import.meta.dirname, "../../examples/ag-ui-web");
const limit = { timeout: 180_000 };

test.runIf(executablePath === undefined)(
  "left out: this machine has no Chromium (Debian: apt install chromium)",
  () => {
    console.info("test/ag-ui/page.test.ts: no Chromium on PATH; the example page was not looked at");
  },
);

describe.skipIf(executablePath === undefined)("the example page", () => {
  let mock: LLMock;
  let node: TroupeProcess;
  let server: PreviewServer;
  let browser: Browser;
  let outDir: string;
  let url: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    mock = new LLMock({ port: 0, host: "127.0.0.1" });
    await mock.start();
    outDir = await mkdtemp(join(tmpdir(), "troupe-page-"));
    await build({ root, configFile: false, logLevel: "warn", build: { outDir, emptyOutDir: true } });
    node = await TroupeProcess.start({
      MODEL_BASE_URL: `${mock.url}/v1`,
      MODEL_NAME: "mock-1",
      TROUPE_AGENTS: join(import.meta.dirname, "support/agents.ts"),
      LOG_LEVEL: "error",
    });
    const proxy = toTroupe(node.url);
    server = await preview({
      root,
      configFile: false,
      logLevel: "warn",
      build: { outDir },
      preview: { port: 0, host: "127.0.0.1", proxy },
    });
    url = `http://127.0.0.1:${(server.httpServer.address() as AddressInfo).port}`;
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await node?.end();
    await mock?.stop();
    if (outDir !== undefined) await rm(outDir, { recursive: true, force: true });
  });

  async function open(hash: string): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
    page.setDefaultTimeout(90_000);
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // A thread that is not there yet is a 404 that the browser notes by itself.
      const noted = message.type() === "error" && message.text().includes("404");
      if (["warning", "error"].includes(message.type()) && !noted) complaints.push(message.text());
    });
    await page.goto(`${url}/#${hash}`);
    await page.getByText("idle").waitFor();
    return page;
  }

  async function say(page: Page, text: string): Promise<void> {
    await page.getByLabel("Message").fill(text);
    await page.getByRole("button", { name: "Send" }).click();
  }

  const calls = (message: string, name: string, args: object, then: string): void => {
    mock.on(
      { userMessage: message, hasToolResult: false },
      { toolCalls: [{ id: `call-${name}`, name, arguments: JSON.stringify(args) }] },
    );
    mock.on({ userMessage: message, hasToolResult: true }, { content: then });
  };

  /** Where TROUPE_SHOTS names a folder, what the page looks like is kept there. */
  async function shot(page: Page, name: string): Promise<void> {
    const folder = process.env.TROUPE_SHOTS;
    if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) });
  }

  test("chats, shows the shared state, and asks before it pays; a reload finds it all again", limit, async () => {
    calls("milk", "remember", { item: "milk" }, "I have put milk on the list.");
    calls("bill", "pay", { usd: 12 }, "The bill is paid.");
    const page = await open("model/page-1");
    await say(page, "Put milk on the list, please.");
    await page.getByText("I have put milk on the list.").waitFor();
    expect(JSON.parse((await page.locator("#state").textContent()) ?? "")).toEqual({ items: ["milk"] });
    await say(page, "Now pay the bill.");
    await page.getByText("Approve the call of pay?").waitFor();
    await shot(page, "interrupt");
    await page.reload();
    await page.getByText("Approve the call of pay?").waitFor();
    expect(await page.locator("#messages .body").allTextContents()).toEqual([
      "Put milk on the list, please.",
      "noted",
      "I have put milk on the list.",
      "Now pay the bill.",
    ]);
    await page.getByLabel("Note").fill("go on");
    await page.getByRole("button", { name: "Approve" }).click();
    await page.getByText("The bill is paid.").waitFor();
    await page.locator("#status", { hasText: "idle" }).waitFor();
    expect(await page.locator("#interrupts > *").count()).toBe(0);
    expect(await page.locator("#messages li.tool").allTextContents()).toEqual(["noted", "paid 12"]);
    await shot(page, "done");
    await page.close();
  });

  test("a workflow: its stages are steps, its checkpoint an approval", limit, async () => {
    const page = await open("document-brief/page-2");
    await say(page, "# Bees\n\nBees fly from flower to flower. They carry pollen. They live in hives.");
    await page.getByRole("button", { name: "Approve" }).waitFor();
    expect(await page.locator("#steps li").count()).toBeGreaterThan(2);
    await shot(page, "workflow");
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator("#status", { hasText: "idle" }).waitFor();
    expect(await page.locator("#steps li.done").count()).toBeGreaterThan(0);
    await page.close();
  });

  test("an answer can be stopped", limit, async () => {
    const words = Array.from({ length: 400 }, (_, i) => `word-${i}`).join(" ");
    mock.onMessage("endless", { content: words }, { chunkSize: 8, latency: 60 });
    const page = await open("model/page-3");
    await say(page, "endless");
    await page.getByText("word-1").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.locator("#status", { hasText: "idle" }).waitFor();
    await expect
      .poll(
        async () => {
          const answer = await fetch(`${node.url}/v1/sessions/page-3`);
          return ((await answer.json()) as { runs: { status: string }[] }).runs[0]?.status;
        },
        { timeout: 60_000 },
      )
      .toBe("canceled");
    await page.close();
  });

  test("the browser's console stayed silent", () => {
    expect(complaints).toEqual([]);
  });
});
