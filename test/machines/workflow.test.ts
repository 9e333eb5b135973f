import { describe, expect, it } from "vitest";
import { z } from "zod";
import { canonicalJson, parseWorkflow, workflowSchema } from "../../src/machines/index.ts";
import { workflowDefinition, workflowVersionDefinition } from "../../src/machines/workflow/machine.ts";
import { compareVersions } from "../../src/machines/workflow/semver.ts";
import { given, story } from "./driver.ts";
import { sha256, workflow } from "./workflows.ts";

const task = (name: string, more: object = {}) => ({ name, agent_type: "a", ...more });
const issues = (definition: object) => {
  const parsed = parseWorkflow({ name: "w", version: "1.0.0", ...definition });
  return parsed.ok ? [] : parsed.issues.map((i) => `${i.place}: ${i.message}`);
};

describe("a workflow definition", () => {
  it.each<[string, object, string]>([
    ["an unknown field", { stages: [task("a", { foo: 1 })] }, "stages[0].foo: is not a known field"],
    ["a field of the other kind", { stages: [task("a", { title: "t" })] }, "stages[0].title: is not a known field"],
    ["an unknown top field", { stages: [task("a")], extra: 1 }, "extra: is not a known field"],
    ["a bad name", { stages: [task("1a")] }, "stages[0].name: must match [A-Za-z][A-Za-z0-9_]{0,63}"],
    ["a bad version", { version: "1", stages: [task("a")] }, "version: must be a semantic version, such as 1.0.0"],
    ["a duplicate", { stages: [task("a"), task("a")] }, "stages[1].name: the name a is taken by stages[0]"],
    ["no agent", { stages: [{ name: "a" }] }, "stages[0]: needs agent_type or capabilities"],
    [
      "an unknown dependency",
      { stages: [task("a", { dependencies: ["b"] })] },
      "stages[0].dependencies[0]: there is no stage b",
    ],
    [
      "a loop",
      { stages: [task("a", { dependencies: ["a"] })] },
      "stages[0].dependencies: the dependencies form a cycle: a → a",
    ],
    [
      "a cycle",
      {
        stages: [
          task("r"),
          task("a", { dependencies: ["c"] }),
          task("b", { dependencies: ["a"] }),
          task("c", { dependencies: ["b"] }),
        ],
      },
      "stages[1].dependencies: the dependencies form a cycle: a → c → b → a",
    ],
    [
      "a bad condition",
      { stages: [task("a", { when: "1 +" })] },
      "stages[0].when: Unexpected token: EOF at character 4",
    ],
    ["a condition that is no bool", { stages: [task("a", { when: "'x'" })] }, "stages[0].when: gives string, not bool"],
    ["a fan-out over no list", { stages: [task("a", { for_each: "1" })] }, "stages[0].for_each: gives int, not list"],
    [
      "an unknown name",
      { stages: [task("a", { input: { x: ["${y}"] } })] },
      "stages[0].input.x[0]: Unknown variable: y at character 1: y",
    ],
    ["an unclosed text", { stages: [task("a", { input: "${y" })] }, "stages[0].input: ${ at character 1 is not closed"],
    [
      "item outside",
      { stages: [task("a", { input: "${item}" })] },
      "stages[0].input: item exists only in the input of a stage with for_each",
    ],
    [
      "a stage that it does not wait for",
      { stages: [task("a", { input: "${stages.b.output}" }), task("b")] },
      "stages[0].input: stage b is not among the stages that this one waits for",
    ],
    [
      "an unknown stage in the output",
      { stages: [task("a")], output: { x: "${stages.z.output}" } },
      "output.x: there is no stage z",
    ],
    [
      "an undo stage as dependency",
      { stages: [task("a", { compensate: "u" }), task("u", { undo: true }), task("b", { dependencies: ["u"] })] },
      "stages[2].dependencies[0]: u is an undo stage, which runs only as a compensation",
    ],
    [
      "an undo stage without use",
      { stages: [task("a"), task("u", { undo: true })] },
      "stages[1]: no stage names this undo stage in its compensate",
    ],
    [
      "an unmarked undo stage",
      { stages: [task("a", { compensate: "b" }), task("b")] },
      "stages[0].compensate: b is not marked with undo: true",
    ],
    [
      "an undo stage for two",
      { stages: [task("a", { compensate: "u" }), task("b", { compensate: "u" }), task("u", { undo: true })] },
      "stages[1].compensate: u already undoes another stage",
    ],
    [
      "an expiry's action without expiry",
      { stages: [{ name: "c", kind: "checkpoint", title: "t", on_expiry: "fail" }] },
      "stages[0].on_expiry: needs expires_in_ms",
    ],
  ])("is refused for %s, with its place", (_, definition, issue) => {
    expect(issues(definition)).toContain(issue);
  });

  it("may name what it waits for through others, and what it undoes", () => {
    expect(
      issues({
        stages: [
          task("a", { compensate: "u" }),
          task("b", { dependencies: ["a"] }),
          task("c", { dependencies: ["b"], input: "${stages.a.output}", compensate: "v" }),
          task("u", { undo: true, input: "${stages.a.output}" }),
          task("v", { undo: true, input: "${[stages.c.output, stages.a.output]}" }),
        ],
        output: "${stages.b.output}",
      }),
    ).toEqual([]);
  });

  it("compiles to indexes, dependents and what expressions name", () => {
    const parsed = parseWorkflow({
      name: "w",
      version: "1.0.0",
      stages: [
        task("a"),
        task("b", { dependencies: ["a"], when: "context.x" }),
        task("c", { dependencies: ["a", "b"] }),
      ],
    });
    expect(parsed.ok && parsed.plan).toMatchObject({
      roots: [0],
      terminals: [2],
      open: 3,
      index: { a: 0, b: 1, c: 2 },
      stages: [
        { dependents: [1, 2], unmet: 0, uses: { variables: ["input"], stages: [] } },
        { dependents: [2], unmet: 1, uses: { variables: ["context"], stages: [0] } },
        { dependents: [], unmet: 2, uses: { variables: [], stages: [0, 1] } },
      ],
    });
  });

  it("runs one stage at a time when not parallel, in the given order as far as it goes", () => {
    const parsed = parseWorkflow({
      name: "w",
      version: "1.0.0",
      parallel: false,
      stages: [task("b", { dependencies: ["c"] }), task("a"), task("c")],
    });
    expect(parsed.ok && parsed.plan).toMatchObject({
      roots: [2],
      terminals: [0, 1],
      stages: [{ dependents: [1], dependencies: [2] }, { dependents: [], dependencies: [] }, { dependents: [0] }],
    });
  });

  it("of 10,000 stages in a chain compiles", () => {
    const stages = Array.from({ length: 10_000 }, (_, i) =>
      task(`s${i}`, i === 0 ? {} : { dependencies: [`s${i - 1}`] }),
    );
    expect(issues({ stages })).toEqual([]);
  });

  it("has a JSON Schema", () => {
    expect(z.toJSONSchema(workflowSchema, { io: "input" })).toMatchObject({
      type: "object",
      required: ["name", "version", "stages"],
    });
  });
});

describe("canonical JSON", () => {
  it("is the same for equal values", () => {
    expect(canonicalJson({ b: [1, { d: undefined, c: null }], a: "ä" })).toBe('{"a":"ä","b":[1,{"c":null}]}');
    expect(sha256({ a: 1, b: 2 })).toBe(sha256({ b: 2, a: 1 }));
  });
});

describe("versions", () => {
  it("are ordered, releases before pre-releases", () => {
    const order = [
      "1.0.0-alpha",
      "1.0.0-alpha.1",
      "1.0.0-alpha.beta",
      "1.0.0-rc.1",
      "2.0.0-rc.1",
      "0.9.0",
      "1.0.0",
      "1.0.10",
      "1.10.0",
    ];
    expect([...order].reverse().sort(compareVersions)).toEqual(order);
    expect(compareVersions("1.0.0+a", "1.0.0+b")).toBe(0);
  });
});

describe("the workflow actor", () => {
  const register = (version: string, more: object = {}) => {
    const definition = workflow({ version, stages: [task("a")], tags: [version], ...more });
    return { type: "workflow.register", definition, hash: sha256(definition) };
  };
  const first = register("1.0.0");

  it("keeps a version and tells the version's actor", () => {
    const s = given(workflowDefinition, "workflow/w", []).when(first);
    expect(story(s.effects)).toEqual([
      'reply {"created":true}',
      "emit registered",
      "send workflow_version/w~1.0.0 workflow_version.register",
    ]);
    expect(s.view).toMatchObject({
      name: "w",
      latest: "1.0.0",
      tags: ["1.0.0"],
      versions: [{ version: "1.0.0", hash: first.hash }],
    });
    expect(workflowDefinition.index?.(s.state)).toMatchObject({ name: "w", tags: ["1.0.0"] });
  });

  it("takes the same again, and refuses another under the same version", () => {
    const known = given(workflowDefinition, "workflow/w", [first]);
    expect(story(known.when(first).effects)).toEqual(['reply {"created":false}']);
    expect(story(known.when(register("1.0.0", { description: "other" })).effects)).toEqual(["refuse already_exists"]);
  });

  it("keeps the highest version as the latest", () => {
    const latest = (...versions: string[]) => {
      const all = versions.map((v) => register(v));
      return given(workflowDefinition, "workflow/w", all.slice(0, -1)).when(all.at(-1) ?? first).context.latest;
    };
    expect(latest("1.0.0", "1.1.0")).toBe("1.1.0");
    expect(latest("1.1.0", "1.0.0")).toBe("1.1.0");
    expect(latest("1.1.0", "2.0.0-rc.1")).toBe("1.1.0");
  });

  it("refuses a bad definition, and one of another name", () => {
    const none = given(workflowDefinition, "workflow/w", []);
    const bad = { ...first, definition: { name: "w", version: "1.0.0", stages: [] } };
    expect(none.when(bad).refusal).toMatchObject({ code: "invalid_input", details: { issues: [{ place: "stages" }] } });
    expect(given(workflowDefinition, "workflow/v", []).when(first).refusal?.message).toBe("name: is w, not v");
  });

  it("has versions that never change", () => {
    const keep = { ...first, type: "workflow_version.register" };
    const s = given(workflowVersionDefinition, "workflow_version/w~1.0.0", []).when(keep);
    expect(s.view).toMatchObject({
      name: "w",
      version: "1.0.0",
      hash: first.hash,
      definition: { stages: [{ name: "a" }] },
    });
    const kept = given(workflowVersionDefinition, "workflow_version/w~1.0.0", [keep]);
    expect(story(kept.when(keep).effects)).toEqual(['reply {"created":false}']);
    expect(story(kept.when({ ...keep, hash: "0".repeat(64) }).effects)).toEqual(["refuse already_exists"]);
  });
});
