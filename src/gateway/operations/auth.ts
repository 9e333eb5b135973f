/** The operation that gives an agent a token for its client id and secret. */
import { z } from "zod";
import { agentTokenS } from "../auth/agent-tokens.ts";
import { defineOperation } from "../operation.ts";

export const tokenInput = z.strictObject({
  client_id: z.string().min(1).max(200).describe("The agent's id."),
  client_secret: z.string().min(1).max(512).describe("Given once, at registration."),
});

export const tokenOutput = z
  .object({
    access_token: z.string().describe("Send it as Authorization: Bearer."),
    token_type: z.literal("Bearer"),
    expires_in: z.int().describe("Seconds."),
  })
  .meta({ id: "Token" });

export const authOperations = [
  defineOperation({
    name: "auth.token",
    summary: "Trade an agent's credentials for a token",
    description: "The token speaks for the agent for an hour, or until the agent leaves.",
    method: "POST",
    path: "/v1/auth/token",
    // The credentials are in the body.
    scope: null,
    tags: ["auth"],
    readOnly: true,
    errors: ["invalid_input", "unauthenticated", "unavailable"],
    example: { client_id: "agent-1", client_secret: "as given at registration" },
    input: tokenInput,
    output: tokenOutput,
    handle: async (ctx, input) => ({
      access_token: await ctx.auth.tokens.issue(input.client_id, input.client_secret),
      token_type: "Bearer" as const,
      expires_in: agentTokenS,
    }),
  }),
];
