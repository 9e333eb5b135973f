/** Chat agent `echo-chat`: says again what the user said last, word by word. Needs no model. */
import { defineAgent } from "../../actors/agent.ts";
import { Progress, Stream } from "./progress.ts";
import { chatInputSchema, chatOutputSchema, textOf } from "./schema.ts";

export const echoChat = defineAgent({
  type: "echo-chat",
  description: "Says again what the user said last.",
  capabilities: ["chat"],
  concurrency: 256,
  input: chatInputSchema,
  output: chatOutputSchema,
  async run(ctx, input) {
    const progress = new Progress(ctx, input);
    if (progress.messages.length > 0) return progress.output();
    const text = textOf(input.messages.findLast(({ role }) => role === "user")?.content);
    const id = progress.nextId();
    const stream = new Stream(ctx, id, "text");
    for (const word of text.split(/(?<=\s)/)) stream.push(word);
    await progress.addText({ id, role: "assistant", content: text }, text);
    return progress.output();
  },
});
