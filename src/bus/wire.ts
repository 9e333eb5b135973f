/**
 * Port: messages that are not stored: requests to a partition's owner or an agent's subject,
 * live events. Core NATS: at most once.
 */
export type WireReply =
  | { readonly kind: "reply"; readonly bytes: Uint8Array }
  /** Nobody listens there: shown at once. */
  | { readonly kind: "no_responders" }
  /** No answer in time, or the connection is away: the outcome is unknown. */
  | { readonly kind: "timed_out" };

export interface WireMessage {
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** Answers a request; does nothing for a plain message. */
  respond(bytes: Uint8Array): void;
  readonly wantsReply: boolean;
}

export interface WireSubscription {
  unsubscribe(): void;
}

export interface Wire {
  /** True while the connection to a server stands. */
  readonly connected: boolean;
  publish(subject: string, bytes: Uint8Array): void;
  request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<WireReply>;
  /** `queue`: each message goes to one subscriber of the group. */
  subscribe(subject: string, onMessage: (m: WireMessage) => void, queue?: string): WireSubscription;
  /** Resolves when the server has seen all subscriptions and publications made so far. */
  flush(): Promise<void>;
  /** Called with every change of `connected`. */
  onConnection(listener: (connected: boolean) => void): void;
}
