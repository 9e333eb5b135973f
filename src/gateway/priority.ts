/**
 * Priority in words and in numbers: one scale inside (1–10, higher goes first), words for those who speak them.
 */
export const priorityWords = ["low", "normal", "high", "critical"] as const;
export type PriorityWord = (typeof priorityWords)[number];

const numbers: Readonly<Record<PriorityWord, number>> = { low: 2, normal: 5, high: 8, critical: 10 };

/** 2, 5, 8, 10. */
export function priorityNumber(word: PriorityWord): number {
  return numbers[word];
}

/** 1–3 low, 4–6 normal, 7–8 high, 9–10 critical. */
export function priorityWord(number: number): PriorityWord {
  if (number <= 3) return "low";
  if (number <= 6) return "normal";
  return number <= 8 ? "high" : "critical";
}
