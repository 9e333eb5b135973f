/** Which NATS servers Troupe can rely on. Pure. */
import { BusError } from "../bus.ts";

const OLDEST = [2, 10] as const;
/** Before 2.11 a replicated stream could answer an expected-sequence check from a stale leader. */
const OLDEST_REPLICATED = [2, 11] as const;

/** Throws BusError `server_too_old` for a version that is too old (or none) for this many replicas. */
export function requireServerVersion(version: string, replicas: number): void {
  const oldest = replicas > 1 ? OLDEST_REPLICATED : OLDEST;
  const match = /^v?(\d+)\.(\d+)/.exec(version);
  const major = Number(match?.[1] ?? 0);
  const minor = Number(match?.[2] ?? 0);
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return;
  throw new BusError(
    "server_too_old",
    `The NATS server has version ${version || "unknown"}; Troupe needs ${oldest.join(".")} or newer` +
      `${replicas > 1 ? ` with ${replicas} replicas` : ""}. Update nats-server.`,
  );
}
