/**
 * API keys that are kept in the store: their form, and what a gateway knows of them. A key is
 * `tk_<id>_<secret>`; its id finds the record, whose hash the secret is compared with. The record is the
 * credential's actor; keys are made and revoked by operations.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Runtime } from "../../actors/client.ts";
import { address } from "../../machines/address.ts";
import { type CredentialView, credentialType } from "../../machines/credential/machine.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { GatewayClock, GatewayLogger } from "../config.ts";
import { notAuthentic, type Proof, type Prover } from "./prover.ts";

const form = /^tk_([0-9a-z]{1,64})_([A-Za-z0-9_-]{43})$/;
/** A key that was looked up is looked up again after this long: so long a revoked one still works. */
const recheckMs = 800;
/** While no key is known: how often the store is asked whether there is one. So long the system stays open. */
const lookMs = 500;
const waitMs = 5_000;

/** A fresh key for an id, and the hash to be stored. Chance of the system, not the runtime's: it must not be guessed. */
export function newStoredKey(id: string): { readonly key: string; readonly hash: string } {
  const secret = randomBytes(32).toString("base64url");
  return { key: `tk_${id}_${secret}`, hash: hashOf(secret).toString("hex") };
}

const hashOf = (secret: string): Buffer => createHash("sha256").update(secret).digest();

export const storedCredentialId = (keyId: string): string => `key:${keyId}`;

export class StoredKeys implements Prover {
  /** True: there is, or was, a key; undefined: not known yet. Once true it stays. */
  any: boolean | undefined;
  private readonly runtime: Runtime;
  private readonly clock: GatewayClock;
  private readonly logger: GatewayLogger;
  private looking: Promise<void> | undefined;
  private timer: { cancel(): void } | undefined;
  private stopped = false;

  constructor(parts: {
    readonly runtime: Runtime;
    readonly clock: GatewayClock;
    readonly logger: GatewayLogger;
  }) {
    this.runtime = parts.runtime;
    this.clock = parts.clock;
    this.logger = parts.logger;
  }

  /** Looks whether there are keys, until one is found. */
  start(): void {
    void this.look().then(() => this.watch());
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  /** Resolves when `any` is known. Rejects with `unavailable`. */
  async known(): Promise<boolean> {
    if (this.any === undefined) await this.look();
    if (this.any === undefined) throw new TroupeError("unavailable", "The stored keys cannot be read yet");
    return this.any;
  }

  prove(token: string): Promise<Proof> | undefined {
    const match = form.exec(token);
    return match === null ? undefined : this.read(match[1] as string, match[2] as string);
  }

  private async read(id: string, secret: string): Promise<Proof> {
    const view = await this.record(id);
    // Compared whether there is such a key or not: time tells nothing of it.
    const same = timingSafeEqual(hashOf(secret), Buffer.from(view?.hash ?? "0".repeat(64), "hex"));
    if (view === null || !same) throw notAuthentic("The API key is not known");
    this.any = true;
    if (view.status !== "active") throw notAuthentic("The API key has been revoked", "revoked");
    const { name, scopes, rateLimit } = view;
    const credential = { name, id: storedCredentialId(id), kind: "key", scopes } as const;
    return { credential: rateLimit === undefined ? credential : { ...credential, rateLimit }, recheckMs };
  }

  private async record(id: string): Promise<CredentialView | null> {
    try {
      const { view } = await this.runtime.read(address(credentialType, id), { timeoutMs: waitMs });
      return view as unknown as CredentialView;
    } catch (error) {
      if (error instanceof TroupeError && error.code === "not_found") return null;
      throw error;
    }
  }

  private look(): Promise<void> {
    this.looking ??= this.runtime
      .list({ type: credentialType, limit: 1 })
      .then(
        ({ items }) => {
          this.any = this.any === true || items.length > 0;
        },
        (error: unknown) => this.logger.debug({ err: error }, "the stored keys cannot be listed yet"),
      )
      .finally(() => {
        this.looking = undefined;
      });
    return this.looking;
  }

  private watch(): void {
    if (this.stopped || this.any === true) return;
    this.timer = this.clock.after(lookMs, () => void this.look().then(() => this.watch()));
  }
}
