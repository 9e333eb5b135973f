/** Contract 000 over gRPC (`agent.AgentService`): its HTTP routes in other clothes. */
import { type CallContext, type GrpcParts, unary } from "../calls.ts";

interface Outcome {
  readonly task_id: string;
  readonly status: string;
  readonly message: string;
}
interface Status {
  readonly task_id: string;
  readonly status: string;
  readonly result: unknown;
  readonly events: readonly string[];
}

export function agentService(parts: GrpcParts) {
  return {
    ExecuteTask: unary(
      parts,
      (ctx: CallContext, { prompt, context, tools }: { prompt: string; context: object; tools: string[] }) =>
        ctx.run<Outcome>("grpc.execute_task", { prompt, context, tools }),
    ),
    GetTaskStatus: unary(parts, async (ctx: CallContext, { task_id }: { task_id: string }) => {
      const { result, ...rest } = await ctx.run<Status>("grpc.get_task_status", { task_id });
      const said =
        result === null || result === undefined ? "" : typeof result === "string" ? result : JSON.stringify(result);
      return { ...rest, result: said };
    }),
    CancelTask: unary(parts, (ctx: CallContext, { task_id }: { task_id: string }) =>
      ctx.run<Outcome>("grpc.cancel_task", { task_id }),
    ),
  };
}
