/**
 * Pages against the code: the tables that come from it, and the files that they point to. After a
 * change that is meant: `TROUPE_WRITE_DOCS=1 npx vitest run test/readme.test.ts` writes the tables anew.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { settingsTable } from "../src/config.ts";
import { tagsOf } from "../src/gateway/dialect.ts";
import { operations } from "../src/gateway/table.ts";
import { type ErrorKind, errorKinds } from "../src/machines/errors.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const write = process.env.TROUPE_WRITE_DOCS === "1";
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** What stands between `<!-- name: … -->` and `<!-- /name -->`; put there first when asked to write. */
function block(file: string, name: string, wanted: string): string {
  const pattern = new RegExp(`(<!-- ${name}: [^\\n]*-->\\n)([\\s\\S]*?)(<!-- /${name} -->)`);
  const text = read(file);
  if (write)
    writeFileSync(
      join(root, file),
      text.replace(pattern, (_, open, __, close) => `${open}${wanted}\n${close}`),
    );
  return pattern.exec(read(file))?.[2]?.trimEnd() ?? `no block ${name} in ${file}`;
}

function errorTable(): string {
  const rows = Object.entries(errorKinds as Record<string, ErrorKind>).map(
    ([code, kind]) =>
      `| \`${code}\` | ${kind.status} | ${kind.grpc} | ${kind.retryable ? "yes" : "no"} | ${kind.advice} |`,
  );
  return ["| Code | HTTP | gRPC | Retryable | What to do |", "|---|---|---|---|---|", ...rows].join("\n");
}

/** A table for each group of operations; one of two groups stands in both. */
function operationTables(): string {
  const { own, published } = tagsOf(operations);
  const tags = [...own, ...published];
  const table = (tag: string): string => {
    const rows = operations
      .filter((one) => one.tags.includes(tag))
      .map((one) => `| \`${one.method} ${one.path}\` | ${one.summary} | ${one.scope ?? "open to everybody"} |`);
    return [`### ${tag}`, "", "| Path | What it does | Scope |", "|---|---|---|", ...rows].join("\n");
  };
  return tags.map(table).join("\n\n");
}

describe("tables that come from the code", () => {
  test("the README's settings are those of src/config.ts", () => {
    expect(block("README.md", "settings", settingsTable())).toBe(settingsTable());
  });

  test("the catalogue of errors is that of src/machines/errors.ts", () => {
    expect(block("docs/semantics.md", "errors", errorTable())).toBe(errorTable());
  });

  test("docs/api.md lists every operation of the table", () => {
    expect(block("docs/api.md", "operations", operationTables())).toBe(operationTables());
  });
});

describe("links", () => {
  const pages = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], { cwd: root })
    .toString()
    .split("\n")
    .filter((file) => /^(?:docs\/.*|[A-Z]+)\.md$/.test(file) && existsSync(join(root, file)));

  /** As GitHub makes them of headings. */
  const anchors = (text: string): string[] =>
    [...text.matchAll(/^#+ (.+)$/gm)].map((m) =>
      (m[1] ?? "")
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    );

  test("each points to a file, and a heading, that is there", () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)/g)]
        .filter(([, file = "", anchor]) => {
          const target = file === "" ? page : join(dirname(page), file);
          if (!existsSync(join(root, target))) return true;
          return anchor !== undefined && !anchors(read(target)).includes(anchor);
        })
        .map(([link]) => `${page}: ${link}`),
    );
    expect(pages).toContain("README.md");
    expect(broken).toEqual([]);
  });
});
