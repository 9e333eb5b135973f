/** Serves the page, and hands what it asks of Troupe on to TROUPE_URL (default: a node on this machine). */
import { defineConfig, type ProxyOptions } from "vite";

/** To Troupe the page is no stranger: a node without credentials refuses other origins. */
export function toTroupe(target: string): Record<string, ProxyOptions> {
  const options = { target, changeOrigin: true, headers: { origin: target } };
  return { "/ag-ui": options, "/v1": options };
}

const proxy = toTroupe(process.env.TROUPE_URL ?? "http://127.0.0.1:8000");

export default defineConfig({ root: import.meta.dirname, server: { proxy }, preview: { proxy } });
