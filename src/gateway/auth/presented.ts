/**
 * What a caller presents, read from header-like values; the same for HTTP, WebSockets and gRPC metadata.
 */
import type { Presented } from "./authenticator.ts";

/** Whose word about client certificates is believed. */
export interface ClientCertificates {
  /** The header's name in lower case; empty: certificates are not configured. */
  readonly header: string;
  trusts(address: string): boolean;
}

export const noCertificates: ClientCertificates = { header: "", trusts: () => false };

export interface PresentedParts {
  /** `X-API-Key`; empty when absent. */
  readonly apiKey: string;
  /** `Authorization`; empty when absent. */
  readonly authorization: string;
  /** Only where headers cannot be set: the query's `api_key`. */
  readonly inQuery?: string | null;
  /** The value of the certificate's header; empty when absent. */
  readonly certificate?: string;
  /** The address that the connection comes from. */
  remote?(): string;
}

export function presented(parts: PresentedParts, certificates: ClientCertificates): Presented {
  const { apiKey, authorization, inQuery, certificate = "", remote } = parts;
  const token = tokenOf(apiKey, authorization) ?? inQuery ?? undefined;
  if (certificate === "" || remote === undefined || !certificates.trusts(remote())) return { token };
  return { token, certificate };
}

/** The token of an `X-API-Key` and an `Authorization: Bearer` header: the first wins. */
function tokenOf(apiKey: string, authorization: string): string | undefined {
  if (apiKey !== "") return apiKey;
  const match = /^bearer +(\S+)\s*$/i.exec(authorization);
  return match?.[1];
}
