/** Contract 003's advanced service over gRPC (`ag_ui.service.AGUIAdvancedService`), put together. */
import { duplex, type GrpcParts, streaming, unary } from "../calls.ts";
import { batchRunAgent } from "./batch.ts";
import { streamingChat } from "./chat.ts";
import { executeTool } from "./execute-tool.ts";
import { humanInLoop } from "./human.ts";
import { sessionMethods } from "./sessions.ts";

export function agUiAdvancedService(parts: GrpcParts) {
  return {
    ...sessionMethods(parts),
    StreamingChat: duplex(parts, streamingChat),
    HumanInLoop: duplex(parts, humanInLoop),
    ExecuteTool: unary(parts, executeTool),
    BatchRunAgent: streaming(parts, batchRunAgent),
  };
}
