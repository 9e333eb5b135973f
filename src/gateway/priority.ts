/**
 * The word of a priority: one scale inside (1–10, higher goes first), words for those who filter by them.
 */
/** 1–3 low, 4–6 normal, 7–8 high, 9–10 critical. */
export function priorityWord(number: number): "low" | "normal" | "high" | "critical" {
  if (number <= 3) return "low";
  if (number <= 6) return "normal";
  return number <= 8 ? "high" : "critical";
}
