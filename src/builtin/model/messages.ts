/**
 * What a chat-completions request is made of: messages and offered tools, as the protocol has them.
 *
 * https://platform.openai.com/docs/api-reference/chat/create
 */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: { readonly url: string } }
  | { readonly type: "input_audio"; readonly input_audio: { readonly data: string; readonly format: string } };

export interface CalledTool {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

export type Message =
  | { readonly role: "system" | "user"; readonly content: string | readonly ContentPart[] }
  | { readonly role: "assistant"; readonly content: string | null; readonly tool_calls?: readonly CalledTool[] }
  | { readonly role: "tool"; readonly tool_call_id: string; readonly content: string };

/** Characters of its content, for estimates. */
export function lengthOf({ content }: Message): number {
  return typeof content === "string" ? content.length : JSON.stringify(content ?? "").length;
}

export interface ToolOffer {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments. */
  readonly parameters?: unknown;
}
