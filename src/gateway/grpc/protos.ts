/** The services' definitions, read from `proto/` once (and the health service's, for reflection). Owns where they are and how fields are spelled (as in the file). */
import { fileURLToPath } from "node:url";
import { loadPackageDefinition, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";

const root = fileURLToPath(new URL("../../../proto", import.meta.url));
const own = ["agent/agent.proto", "agent/runtime.proto", "ag_ui/service.proto", "ag_ui/advanced_service.proto"];

export interface Protos {
  readonly definition: PackageDefinition;
  service(name: string): ServiceDefinition;
}

export function loadProtos(): Protos {
  const definition = loadSync([...own, protoPath], {
    includeDirs: [root],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const packages = loadPackageDefinition(definition);
  return {
    definition,
    service(name) {
      let at: unknown = packages;
      for (const part of name.split(".")) at = (at as Record<string, unknown>)[part];
      return (at as { service: ServiceDefinition }).service;
    },
  };
}
