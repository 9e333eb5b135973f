/** A version of a workflow is an actor of its own: it may be registered before it can be read. */
import { expect, test } from "vitest";
import type { Answer } from "../../src/actors/client.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { newWorkflows } from "../../src/gateway/workflows.ts";
import type { Address } from "../../src/machines/address.ts";
import { TroupeError } from "../../src/machines/errors.ts";

function runtimeOf(registered: readonly string[], missingReads: number) {
  let left = missingReads;
  const read = async ({ type, key }: Address): Promise<Answer> => {
    const answer = (view: object): Answer => ({ reply: null, view: view as Answer["view"], step: 1 });
    const known = type === "workflow" ? registered.length > 0 : registered.some((one) => key === `w~${one}`);
    if (!known || (type === "workflow_version" && left-- > 0)) throw new TroupeError("not_found", `no ${type} ${key}`);
    if (type === "workflow_version") return answer({ hash: "h", definition: { name: "w" } });
    return answer({ latest: registered.at(-1), versions: registered.map((version) => ({ version })) });
  };
  return { read };
}

test.each([undefined, "1.0.0"])(
  "what is registered is found, also before its version has heard of it: %s",
  async (version) => {
    const found = await newWorkflows(runtimeOf(["0.9.0", "1.0.0"], 2), systemClock).find("w", version);
    expect(found).toMatchObject({ name: "w", version: "1.0.0", hash: "h" });
  },
);

test("what is not registered is missing at once, by its name and version", async () => {
  const begun = performance.now();
  const find = (name: string, registered: string[]) =>
    newWorkflows(runtimeOf(registered, 0), systemClock).find(name, "2.0.0");
  const wanted = { code: "not_found", details: { workflow: "w", version: "2.0.0" } };
  await expect(find("w", ["1.0.0"])).rejects.toMatchObject(wanted);
  await expect(find("w", [])).rejects.toMatchObject(wanted);
  expect(performance.now() - begun).toBeLessThan(4_000);
});
