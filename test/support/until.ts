/** Waiting for a thing instead of for a time. */

/** Looks every few milliseconds until it holds; throws after the deadline. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
  what = "it",
  everyMs = 5,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited ${deadlineMs} ms for ${what} in vain.`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
