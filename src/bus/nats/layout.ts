/** The cluster's layout: chosen at the first start, kept in the registry, the same for ever after. */
import { BusError, type Layout } from "../bus.ts";
import type { Registry } from "../registry.ts";

const KEY = "layout";
const DEFAULTS: Layout = { partitions: 8, streams: 4, replicas: 1 };

/**
 * The stored layout; at the first start the wished one (defaults: 8 partitions, 4 streams, 1 replica).
 * Throws BusError `layout_mismatch` when a wish contradicts what is stored.
 */
export async function settleLayout(registry: Registry, wish: Partial<Layout> = {}): Promise<Layout> {
  const wanted = { ...DEFAULTS, ...withoutUndefined(wish) };
  // Never more streams than partitions, unless asked for outright (then it is refused below).
  const layout =
    wish.streams === undefined ? { ...wanted, streams: Math.min(wanted.streams, wanted.partitions) } : wanted;
  check(layout);
  for (;;) {
    const entry = await registry.get(KEY);
    if (entry) return agree(JSON.parse(new TextDecoder().decode(entry.value)) as Layout, wish);
    const value = new TextEncoder().encode(JSON.stringify(layout));
    const written = await registry.create(KEY, value);
    if (written.kind === "stored") return layout;
    // Refused or unknown: look again; another node may have been quicker.
  }
}

/** Throws when the store has none: nothing was ever kept in it. */
export async function requireLayout(registry: Registry): Promise<void> {
  if ((await registry.get(KEY)) === null)
    throw new BusError("failed", "The store has no layout: no node has ever started on it.");
}

function agree(stored: Layout, wish: Partial<Layout>): Layout {
  check(stored);
  for (const [field, wanted] of Object.entries(withoutUndefined(wish))) {
    if (stored[field as keyof Layout] !== wanted) {
      throw new BusError(
        "layout_mismatch",
        `The store was set up with ${describe(stored)}, but ${field} ${wanted} is asked for. ` +
          "It is fixed at the first start: leave the setting out, or use another store.",
      );
    }
  }
  return stored;
}

function check(layout: Layout): void {
  const { partitions, streams, replicas } = layout;
  const whole = (n: number, max: number) => Number.isInteger(n) && n >= 1 && n <= max;
  if (!whole(partitions, 4096) || !whole(streams, partitions) || (replicas !== 1 && replicas !== 3)) {
    throw new BusError(
      "layout_mismatch",
      `Not a layout: ${describe(layout)}. Partitions are 1–4096, streams 1–partitions, replicas 1 or 3.`,
    );
  }
}

function describe({ partitions, streams, replicas }: Layout): string {
  return `${partitions} partitions, ${streams} streams, ${replicas} replica${replicas === 1 ? "" : "s"}`;
}

function withoutUndefined(wish: Partial<Layout>): Partial<Layout> {
  return Object.fromEntries(Object.entries(wish).filter(([, v]) => v !== undefined));
}
