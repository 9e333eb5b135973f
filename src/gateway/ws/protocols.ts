/**
 * The table of WebSocket protocols: the one place that says what is spoken at which path.
 */
import type { GatewayLimits } from "../config.ts";
import { agentSocket, stateSocket } from "../dialects/000/sockets.ts";
import { communicationSocket } from "../dialects/001/socket.ts";
import { platformSocket } from "../dialects/004/socket.ts";
import { dialectProtocol } from "./dialect-session.ts";
import type { SocketProtocol } from "./route.ts";
import { Session } from "./session.ts";

export function socketProtocols(limits: GatewayLimits): SocketProtocol[] {
  const core: SocketProtocol = {
    name: "v1",
    path: "/v1/ws",
    formats: ["json", "msgpack"],
    wireBytesMax: limits.wsMessageBytesMax,
    open: (socket, connection) => new Session(socket, connection),
  };
  const dialects = [
    { name: "000.agent", path: "/ws/agent/{client_id}", converse: agentSocket },
    { name: "000.task", path: "/ws/agent/{client_id}/{task_id}", converse: agentSocket },
    { name: "000.state", path: "/ws/state/{state_type}/{state_id}", converse: stateSocket },
    { name: "001", path: "/ws", converse: communicationSocket },
    { name: "001.api", path: "/api/v1/ws", converse: communicationSocket },
    { name: "004", path: "/api/v1/ws/{client_id}", converse: platformSocket },
  ];
  return [core, ...dialects.map((dialect) => dialectProtocol(dialect, limits))];
}
