/** All services by name, with their definitions; those that carry AG-UI events get serializers of their own. */
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import type { GrpcParts } from "../call-context.ts";
import type { Protos } from "../protos.ts";
import { agUiAdvancedService } from "./ag-ui-advanced.ts";
import { agUiService } from "./ag-ui-service.ts";
import { agentRuntime } from "./agent-runtime.ts";
import { agentService } from "./agent-service.ts";
import { serializeEvent, serializeInside, withSerializer } from "./event-bytes.ts";

export interface Implementation {
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly methods: object;
}

/** The field of each answer that holds an EventResponse. */
const eventFields: Readonly<Record<string, number>> = { StreamingChat: 2, HumanInLoop: 1, BatchRunAgent: 2 };

export function implementations(parts: GrpcParts, protos: Protos): Implementation[] {
  const basic = protos.service("ag_ui.service.AGUIService");
  const eventSerializer = methodOf(basic, "RunAgent").responseSerialize;
  const runAgent = withSerializer(methodOf(basic, "RunAgent"), serializeEvent(eventSerializer));
  const advanced: ServiceDefinition = { ...protos.service("ag_ui.service.AGUIAdvancedService") };
  for (const [name, field] of Object.entries(eventFields)) {
    const method = methodOf(advanced, name);
    const serialize = serializeInside(method.responseSerialize, eventSerializer, field);
    Object.assign(advanced, { [name]: withSerializer(method, serialize) });
  }
  return [
    of("agent.AgentService", agentService(parts)),
    of("agent.runtime.v1.AgentRuntime", agentRuntime(parts)),
    of("ag_ui.service.AGUIService", agUiService(parts), { ...basic, RunAgent: runAgent }),
    of("ag_ui.service.AGUIAdvancedService", agUiAdvancedService(parts), advanced),
  ];

  function of(name: string, methods: object, definition = protos.service(name)): Implementation {
    return { name, definition, methods };
  }
}

function methodOf(service: ServiceDefinition, name: string): MethodDefinition<object, object> {
  const method = service[name];
  if (method === undefined) throw new Error(`there is no method ${name}`);
  return method as MethodDefinition<object, object>;
}
