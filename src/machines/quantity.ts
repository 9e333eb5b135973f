/**
 * Amounts as people write them, with the suffixes of Kubernetes (`512Mi`, `32Gi`, `250m`, `4k`), as numbers.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
import type { Amounts } from "./schema.ts";

const factors: Readonly<Record<string, number>> = {
  "": 1,
  m: 1e-3,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};
const form = /^(\d{1,15}(?:\.\d{1,9})?|\.\d{1,9})(m|k|K|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/;
const unitForm = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
export const unitsMax = 16;

/** In base units; undefined for what is no amount. */
export function parseQuantity(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) && value >= 0 && value <= 1e18 ? value : undefined;
  if (typeof value !== "string") return undefined;
  const match = form.exec(value.trim());
  if (match === null) return undefined;
  const amount = Number(match[1]) * (factors[match[2] ?? ""] as number);
  return amount <= 1e18 ? amount : undefined;
}

/** Every unit's amount, or the places of those that are none. Unknown shapes are refused, never guessed. */
export function parseAmounts(
  given: Readonly<Record<string, unknown>>,
): { readonly ok: true; readonly amounts: Amounts } | { readonly ok: false; readonly wrong: readonly string[] } {
  const amounts: [string, number][] = [];
  const wrong: string[] = [];
  for (const [unit, value] of Object.entries(given)) {
    const amount = parseQuantity(value);
    if (amount === undefined || !unitForm.test(unit)) wrong.push(unit);
    else amounts.push([unit, amount]);
  }
  if (amounts.length > unitsMax) wrong.push(...amounts.slice(unitsMax).map(([unit]) => unit));
  return wrong.length > 0 ? { ok: false, wrong } : { ok: true, amounts: Object.fromEntries(amounts) };
}
