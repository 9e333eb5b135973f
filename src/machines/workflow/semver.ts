/**
 * The order of semantic versions (semver.org, section 11), with one change: a release is newer
 * than any pre-release, so that "latest" never is one while there is a release.
 */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [split(a), split(b)];
  if ((x.pre === undefined) !== (y.pre === undefined)) return x.pre === undefined ? 1 : -1;
  for (let i = 0; i < 3; i++) {
    const difference = (x.core[i] ?? 0) - (y.core[i] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return x.pre === undefined || y.pre === undefined ? 0 : comparePre(x.pre.split("."), y.pre.split("."));
}

function split(version: string): { core: number[]; pre: string | undefined } {
  const [withoutBuild = ""] = version.split("+");
  const cut = withoutBuild.indexOf("-");
  const core = cut < 0 ? withoutBuild : withoutBuild.slice(0, cut);
  return { core: core.split(".").map(Number), pre: cut < 0 ? undefined : withoutBuild.slice(cut + 1) };
}

function comparePre(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    if (x === y) continue;
    const numeric = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (numeric[0] && numeric[1]) return Math.sign(Number(x) - Number(y));
    if (numeric[0] !== numeric[1]) return numeric[0] ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return 0;
}
