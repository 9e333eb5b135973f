/**
 * Amounts of resources in requests: read as Kubernetes writes them, refused by name. Owns no unit.
 */
import { parseAmounts } from "../../machines/quantity.ts";
import type { Amounts } from "../../machines/schema.ts";
import { invalid } from "../errors.ts";

/** Amounts as written, as numbers; what is not readable as an amount is refused by name. */
export function amountsOf(given: Record<string, unknown> | undefined, field: string): Amounts {
  const parsed = parseAmounts(given ?? {});
  if (parsed.ok) return parsed.amounts;
  const message = "must be a number, or one with a suffix such as Mi, Gi, k or m";
  throw invalid(
    "The request is not valid",
    parsed.wrong.map((unit) => ({ path: `${field}.${unit}`, message })),
  );
}
