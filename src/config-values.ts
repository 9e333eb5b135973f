/**
 * How single settings are read from text: whole numbers, sizes, durations, lists, addresses.
 * Each is a zod schema from what a flag or a variable holds to the value used inside. Which
 * settings exist is the business of config.ts.
 */
import { isIP } from "node:net";
import { z } from "zod";

const bytesPerUnit: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const msPerUnit: Readonly<Record<string, number>> = { "": 1, ms: 1, s: 1e3, m: 60e3, min: 60e3, h: 3600e3, d: 86400e3 };

/** `<number><unit>` as a whole number of the smallest unit, or null. */
function amount(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = units[match?.[2]?.toLowerCase() ?? "?"];
  if (!match || unit === undefined) return null;
  const value = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(value) ? value : null;
}

function bounded(units: Readonly<Record<string, number>>, expected: string, min: number, max: number) {
  return z.string().transform((text, ctx) => {
    const value = amount(text, units);
    if (value !== null && value >= min && value <= max) return value;
    ctx.addIssue({ code: "custom", message: `must be ${expected}, not "${text}"` });
    return z.NEVER;
  });
}

/** A whole number from `min` to `max`. */
export const whole = (min: number, max: number) => bounded({ "": 1 }, `a whole number from ${min} to ${max}`, min, max);

/** A port (0: any free one), or null for `off`. */
export const portOrOff = z.string().transform((text, ctx): number | null => {
  if (text.trim().toLowerCase() === "off") return null;
  const port = amount(text, { "": 1 });
  if (port !== null && port >= 0 && port <= 65535) return port;
  ctx.addIssue({ code: "custom", message: `must be a whole number from 0 to 65535, or off, not "${text}"` });
  return z.NEVER;
});

/** Bytes: `1048576`, `64MiB`, `10GB`. */
export const bytes = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  bounded(bytesPerUnit, `a size such as 64MiB, at least ${formatBytes(min)}`, min, max);

/** Milliseconds: `500`, `500ms`, `2s`, `5m`, `1h`. */
export const duration = (minMs: number, maxMs: number) =>
  bounded(msPerUnit, `a duration from ${minMs}ms to ${maxMs}ms such as 500ms or 2s`, minMs, maxMs);

/** `always`, or the longest time in milliseconds that a commit may wait for the disk. */
export const sync = z.string().transform((text, ctx): "always" | number => {
  if (text.trim().toLowerCase() === "always") return "always";
  const ms = amount(text, msPerUnit);
  if (ms !== null && ms >= 1 && ms <= 3600e3) return ms;
  ctx.addIssue({ code: "custom", message: `must be "always" or an interval such as 2s, not "${text}"` });
  return z.NEVER;
});

/** Comma-separated, without empty parts. */
export const list = z.string().transform((text) => splitList(text));

export function splitList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** Comma-separated host names, addresses and networks. */
export const hosts = z.string().transform((text, ctx) => {
  const entries = splitList(text);
  for (const entry of entries) {
    const [address = "", bits, ...rest] = entry.split("/");
    const family = isIP(address);
    const network = /^\d{1,3}$/.test(bits ?? "") && Number(bits) <= (family === 4 ? 32 : 128);
    const name = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(entry);
    if (rest.length === 0 && (bits === undefined ? family !== 0 || name : family !== 0 && network)) continue;
    ctx.addIssue({
      code: "custom",
      message: `must be host names, addresses or networks such as 10.0.0.0/8, not "${entry}"`,
    });
  }
  return entries;
});

/** Comma-separated addresses of NATS servers; `host:port` means `nats://host:port`. */
export const natsUrls = z.string().transform((text, ctx) => {
  const urls = splitList(text).map((part) => (part.includes("://") ? part : `nats://${part}`));
  for (const url of urls) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    if (parsed && ["nats:", "tls:"].includes(parsed.protocol) && parsed.hostname !== "") continue;
    ctx.addIssue({
      code: "custom",
      message: `must be addresses such as nats://host:4222, not "${withoutSecret(url)}"`,
    });
  }
  return urls;
});

/** An http or https address, without a slash at its end. */
export const httpUrl = z.string().transform((text, ctx) => {
  if (URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol)) return text.replace(/\/+$/, "");
  ctx.addIssue({
    code: "custom",
    message: `must be an address such as https://host/path, not "${withoutSecret(text)}"`,
  });
  return z.NEVER;
});

/** A header's name, in lower case. */
export const headerName = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,64}$/, "must be a header's name")
  .transform((name) => name.toLowerCase());

/** Comma-separated: `area:verb`, `area:*` or `*`. */
export const scopes = list.refine(
  (all) => all.length > 0 && all.every((one) => /^(\*|[a-z_]+:(\*|[a-z_]+))$/.test(one)),
  "must be scopes such as runs:read, comma-separated",
);

/** A whole number from 1, or `none`. */
export const perMinute = z.string().transform((text, ctx): number | null => {
  if (text.trim().toLowerCase() === "none") return null;
  const count = amount(text, { "": 1 });
  if (count !== null && count >= 1 && count <= 1e9) return count;
  ctx.addIssue({ code: "custom", message: `must be a whole number from 1, or none, not "${text}"` });
  return z.NEVER;
});

/** An amount of money, from 0. */
export const usd = z.string().transform((text, ctx): number => {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0 && value <= 1e6) return value;
  ctx.addIssue({ code: "custom", message: `must be an amount such as 2.50, not "${text}"` });
  return z.NEVER;
});

/** The address without the user and password that it may hold, for messages. */
export function withoutSecret(url: string): string {
  return url.replace(/\/\/[^/@]*@/, "//…@");
}

/** `67108864` as `64MiB`: the largest binary unit that leaves a whole number. */
export function formatBytes(count: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const size = bytesPerUnit[unit.toLowerCase()] ?? 1;
    if (count >= size && count % size === 0) return `${count / size}${unit}`;
  }
  return `${count}`;
}
