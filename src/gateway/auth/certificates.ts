/**
 * The client's certificate as a TLS-terminating proxy tells it in a header: only from addresses that are
 * trusted, else the header is as if it were not there. The proxy has checked the chain; here the name is read.
 */
import { X509Certificate } from "node:crypto";
import { BlockList, isIP } from "node:net";
import { TroupeError } from "../../machines/errors.ts";
import type { GatewayClock } from "../config.ts";
import { agentScopes, type Credential } from "./credential.ts";
import { notAuthentic, type Proof } from "./prover.ts";

export interface CertificateSettings {
  /** Lower case, such as `client-cert` (RFC 9440) or `x-ssl-client-cert`. */
  readonly header: string;
  /** Addresses and networks (`10.0.0.0/8`) of the proxies. */
  readonly proxies: readonly string[];
  /** What they may do; absent: what agents may, and register themselves. */
  readonly scopes?: readonly string[];
}

export interface Certificates {
  readonly header: string;
  /** True when what this address says of a client's certificate is believed. */
  trusts(address: string): boolean;
  /** The credential of the header's value. Throws `unauthenticated`. */
  prove(value: string): Proof;
}

const recheckMs = 300_000;

/** Throws `invalid_input` for what is no address or network. */
export function newCertificates(settings: CertificateSettings, clock: GatewayClock): Certificates {
  const proxies = new BlockList();
  for (const one of settings.proxies) addNetwork(proxies, one);
  const scopes = settings.scopes ?? [...agentScopes, "agents:write"];
  return {
    header: settings.header.toLowerCase(),
    trusts(address) {
      const plain = plainAddress(address);
      const version = isIP(plain);
      return version !== 0 && proxies.check(plain, version === 4 ? "ipv4" : "ipv6");
    },
    prove(value) {
      const { name, expiresAt } = identityOf(value, clock.now());
      const credential: Credential = { name, id: `cert:${name}`, kind: "certificate", agentId: name, scopes };
      return { credential, recheckMs, ...(expiresAt !== undefined && { expiresAt }) };
    },
  };
}

function addNetwork(list: BlockList, text: string): void {
  const [address = "", prefix] = text.split("/");
  const version = isIP(address);
  const bits = prefix === undefined ? (version === 4 ? 32 : 128) : Number(prefix);
  const fits = Number.isInteger(bits) && bits >= 0 && bits <= (version === 4 ? 32 : 128);
  if (version === 0 || !fits) {
    throw new TroupeError("invalid_input", `TROUPE_TRUSTED_PROXIES: '${text.slice(0, 100)}' is no address or network`);
  }
  list.addSubnet(address, bits, version === 4 ? "ipv4" : "ipv6");
}

/** Servers that listen on both families tell IPv4 as `::ffff:10.0.0.1`, or with all zeros written out. */
export function plainAddress(address: string): string {
  const match = /^(?:::|(?:0{1,4}:){5})ffff:(.+)$/i.exec(address);
  const rest = match?.[1];
  if (rest === undefined) return address;
  if (isIP(rest) === 4) return rest;
  const halves = rest.split(":").map((part) => Number.parseInt(part, 16));
  if (halves.length !== 2 || halves.some((half) => Number.isNaN(half))) return address;
  const [high = 0, low = 0] = halves;
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** A certificate in base64 between colons (RFC 9440), PEM with escapes (nginx), base64, or a subject (`CN=agent-1,O=x`). */
function identityOf(value: string, now: number): { readonly name: string; readonly expiresAt?: number } {
  const bytes = certificateBytes(value);
  if (bytes === null) return { name: commonName(value.split(/[,/]/)) };
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(bytes);
  } catch {
    throw notAuthentic("The client certificate cannot be read", "malformed");
  }
  const expiresAt = Date.parse(certificate.validTo);
  if (now > expiresAt) throw notAuthentic("The client certificate has expired", "expired");
  if (now < Date.parse(certificate.validFrom)) {
    throw notAuthentic("The client certificate is not valid yet", "not_yet_valid");
  }
  return { name: commonName(certificate.subject.split("\n")), expiresAt };
}

function certificateBytes(value: string): Buffer | null {
  const text = value.trim();
  const encoded = /^:([A-Za-z0-9+/=]+):$/.exec(text)?.[1];
  if (encoded !== undefined) return Buffer.from(encoded, "base64");
  if (/^-----BEGIN(?:%20| |\+)/.test(text)) {
    try {
      return Buffer.from(decodeURIComponent(text));
    } catch {
      throw notAuthentic("The client certificate cannot be read", "malformed");
    }
  }
  return /^MI[A-Za-z0-9+/]{100,}={0,2}$/.test(text) ? Buffer.from(text, "base64") : null;
}

function commonName(parts: readonly string[]): string {
  const names = parts.map((part) => /^\s*CN\s*=\s*(.+?)\s*$/i.exec(part)?.[1]).filter((name) => name !== undefined);
  const [name] = names;
  // Two names, or signs that would not stand in an id, might be read differently elsewhere.
  if (names.length !== 1 || name === undefined || !/^[\p{L}\p{N}][\p{L}\p{N} ._@:-]{0,199}$/u.test(name)) {
    throw notAuthentic("The client certificate has no usable common name", "name");
  }
  return name;
}
