/**
 * Names and numbers of the .proto files against the published contracts, so that clients made from those speak to
 * us. What Troupe adds stands at 101 and above, or is named here.
 */
import type protobuf from "protobufjs";
import { beforeAll, expect, test } from "vitest";
import { protoRoot } from "./support/client.ts";

let root: protobuf.Root;
beforeAll(async () => {
  root = await protoRoot([
    "agent/agent.proto",
    "agent/runtime.proto",
    "ag_ui/service.proto",
    "ag_ui/advanced_service.proto",
  ]);
});

/** `name number type`; `*` a list, `map<value>` a map with texts as keys. Texts have no type here. */
const messages: Readonly<Record<string, string>> = {
  "agent.ExecuteTaskRequest": "prompt 1, context 2 map<string>, tools 3 *",
  "agent.ExecuteTaskResponse": "task_id 1, status 2, message 3",
  "agent.GetTaskStatusRequest": "task_id 1",
  "agent.GetTaskStatusResponse": "task_id 1, status 2, result 3, events 4 *",
  "agent.CancelTaskRequest": "task_id 1",
  "agent.CancelTaskResponse": "task_id 1, status 2, message 3",

  "agent.runtime.v1.JsonValue":
    "bool_value 1 bool, int_value 2 int64, double_value 3 double, string_value 4, struct_value 5 JsonStruct, list_value 6 JsonList, null_value 7 JsonNull",
  "agent.runtime.v1.JsonStruct": "fields 1 map<JsonValue>",
  "agent.runtime.v1.JsonList": "values 1 *JsonValue",
  "agent.runtime.v1.JsonNull": "",
  "agent.runtime.v1.WorkflowRef": "name 1, version 2",
  "agent.runtime.v1.Timing": "created_at 1, started_at 2, finished_at 3, wall_ms 4 int64",
  "agent.runtime.v1.Cost": "total_tokens 1 int64, prompt_tokens 2 int64, completion_tokens 3 int64, total_usd 4 double",
  "agent.runtime.v1.Run":
    "run_id 1, workflow 2 WorkflowRef, status 3 RunStatus, trace_id 4, tenant_id 5, timing 6 Timing, input 7 JsonValue, context 8 JsonValue, output 9 JsonValue, error 10 Error, cost 11 Cost, artifacts 12 *ArtifactRef, checkpoints 13 *HumanCheckpoint, metadata 14 map<JsonValue>",
  "agent.runtime.v1.CreateRunRequest":
    "workflow 1 WorkflowRef, input 2 JsonValue, context 3 JsonValue, metadata 4 map<JsonValue>, labels 5 map<string>, idempotency_key 6",
  "agent.runtime.v1.RunResponse": "run 1 Run",
  "agent.runtime.v1.GetRunRequest": "run_id 1",
  "agent.runtime.v1.CancelRunRequest": "run_id 1",
  "agent.runtime.v1.StreamEventsRequest": "run_id 1",
  "agent.runtime.v1.ListRunsRequest": "limit 1 int32, cursor 2, status 3, workflow_name 4",
  "agent.runtime.v1.ListRunsResponse": "data 1 *Run, next_cursor 2",
  "agent.runtime.v1.EventTrace": "trace_id 1, span_id 2, parent_span_id 3",
  "agent.runtime.v1.Event":
    "event_id 1, ts 2, type 3 EventType, run_id 4, step_id 5, tool_name 6, payload 7 JsonValue, trace 8 EventTrace",
  "agent.runtime.v1.ListEventsRequest": "run_id 1, limit 2 int32, cursor 3",
  "agent.runtime.v1.ListEventsResponse": "data 1 *Event, next_cursor 2",
  "agent.runtime.v1.ArtifactRef": "artifact_id 1, type 2 ArtifactType, name 3",
  "agent.runtime.v1.ArtifactFile": "download_url 1, expires_at 2, size_bytes 3 int64, sha256 4",
  "agent.runtime.v1.Artifact":
    "artifact_id 1, type 2 ArtifactType, name 3, created_at 4, mime_type 5, data 6 JsonValue, file 7 ArtifactFile",
  "agent.runtime.v1.GetArtifactRequest": "artifact_id 1",
  "agent.runtime.v1.HumanCheckpoint":
    "checkpoint_id 1, run_id 2, status 3 HumanCheckpointStatus, created_at 4, expires_at 5, title 6, instructions 7, required_schema 8 JsonValue, provided_input 9 JsonValue, decision 10 CheckpointDecision",
  "agent.runtime.v1.CheckpointDecision": "approved 1 bool, note 2, decided_at 3",
  "agent.runtime.v1.CheckpointDecisionRequest": "run_id 1, checkpoint_id 2, note 3",
  "agent.runtime.v1.CheckpointInputRequest": "run_id 1, checkpoint_id 2, input 3 JsonValue, note 4",
  "agent.runtime.v1.Workflow":
    "name 1, version 2, description 3, tags 4 *, default_timeout_ms 5 int64, input_schema_ref 6, output_schema_ref 7, definition 8 JsonValue",
  "agent.runtime.v1.WorkflowSummary": "name 1, version 2, description 3, tags 4 *",
  "agent.runtime.v1.ListWorkflowsRequest": "limit 1 int32, cursor 2, tag 3",
  "agent.runtime.v1.ListWorkflowsResponse": "data 1 *WorkflowSummary, next_cursor 2",
  "agent.runtime.v1.GetWorkflowRequest": "name 1, version 2",
  "agent.runtime.v1.SchemaBundle": "workflow 1, schema_hash 2, schemas 3 map<JsonValue>",
  "agent.runtime.v1.Error": "code 1, message 2, retryable 3 bool, details 4 JsonValue",

  "ag_ui.service.RunAgentRequest":
    "thread_id 1, run_id 2, state 3 Any, messages 4 *Message, tools 5 *Tool, context 6 *Context, forwarded_props 7 Any",
  "ag_ui.service.EventResponse": "event 1 BaseEvent, typed_event 2 Event",
  "ag_ui.service.HealthCheckRequest": "service 1",
  "ag_ui.service.HealthCheckResponse": "status 1 ServingStatus, message 2",
  "ag_ui.service.ServiceInfoRequest": "",
  "ag_ui.service.ServiceInfoResponse":
    "service_name 1, version 2, supported_features 3 *, supported_event_types 4 *, capabilities 5 ServiceCapabilities",
  "ag_ui.service.ServiceCapabilities":
    "supports_streaming 1 bool, supports_tool_calls 2 bool, supports_state_management 3 bool, supports_thinking_mode 4 bool, supports_human_in_loop 5 bool, supported_encodings 6 *",
  "ag_ui.service.ValidationResponse": "is_valid 1 bool, errors 2 *ValidationError, warnings 3 *",
  "ag_ui.service.ValidationError": "field 1, message 2, error_code 3",
  "ag_ui.service.ChatRequest": "init 1 InitChatRequest, message 2 SendMessageRequest, control 3 ChatControlRequest",
  "ag_ui.service.ChatResponse": "init 1 ChatInitResponse, event 2 EventResponse, status 3 ChatStatusResponse",
  "ag_ui.service.InitChatRequest": "session_id 1, tools 2 *Tool, initial_state 3 Any, context 4 *Context",
  "ag_ui.service.ChatInitResponse": "chat_id 1, success 2 bool, error_message 3",
  "ag_ui.service.SendMessageRequest": "chat_id 1, message 2 Message",
  "ag_ui.service.ChatControlRequest": "chat_id 1, action 2 Action",
  "ag_ui.service.ChatStatusResponse": "chat_id 1, status 2 Status, message 3",
  "ag_ui.service.HumanInLoopRequest":
    "approval 1 ApprovalRequest, approval_response 2 ApprovalResponse, input 3 InputRequest, input_response 4 InputResponse",
  "ag_ui.service.HumanInLoopResponse":
    "event 1 EventResponse, approval_required 2 ApprovalRequired, input_required 3 InputRequired, continue_execution 4 ContinueExecution",
  "ag_ui.service.ApprovalRequest": "request_id 1, action_description 2, action_data 3 Any",
  "ag_ui.service.ApprovalResponse": "request_id 1, approved 2 bool, reason 3",
  "ag_ui.service.ApprovalRequired": "request_id 1, prompt 2, options 3 *, expires_at 4 Timestamp",
  "ag_ui.service.InputRequest": "request_id 1, prompt 2, input_type 3 InputType",
  "ag_ui.service.InputResponse": "request_id 1, value 2",
  "ag_ui.service.InputRequired":
    "request_id 1, prompt 2, input_type 3 InputType, required 4 bool, expires_at 5 Timestamp",
  "ag_ui.service.ContinueExecution": "request_id 1",
  "ag_ui.service.GetStateRequest": "session_id 1, keys 2 *",
  "ag_ui.service.GetStateResponse": "state 1 Any, last_modified 2 Timestamp",
  "ag_ui.service.UpdateStateRequest": "session_id 1, state_delta 2 Any, merge 3 bool",
  "ag_ui.service.UpdateStateResponse": "success 1 bool, new_state 2 Any, timestamp 3 Timestamp",
  "ag_ui.service.WatchStateRequest": "session_id 1, watch_keys 2 *",
  "ag_ui.service.StateChangeEvent": "session_id 1, changes 2 *JsonPatchOperation, timestamp 3 Timestamp",
  "ag_ui.service.RegisterToolsRequest": "session_id 1, tools 2 *Tool, replace_existing 3 bool",
  "ag_ui.service.RegisterToolsResponse": "success 1 bool, registered_tool_names 2 *, errors 3 *ToolError",
  "ag_ui.service.RegisterToolsResponse.ToolError": "tool_name 1, error_message 2",
  "ag_ui.service.ExecuteToolRequest": "session_id 1, tool_call 2 ToolCall, context 3 Any",
  "ag_ui.service.ExecuteToolResponse": "tool_call_id 1, result 2, success 3 bool, error_message 4",
  "ag_ui.service.CreateSessionRequest":
    "session_id 1, initial_state 2 Any, tools 3 *Tool, context 4 *Context, options 5 SessionOptions",
  "ag_ui.service.CreateSessionResponse": "session_id 1, success 2 bool, error_message 3, created_at 4 Timestamp",
  "ag_ui.service.GetSessionRequest": "session_id 1",
  "ag_ui.service.GetSessionResponse": "session_id 1, session_info 2 SessionInfo, exists 3 bool",
  "ag_ui.service.EndSessionRequest": "session_id 1, save_state 2 bool",
  "ag_ui.service.EndSessionResponse": "success 1 bool, message 2",
  "ag_ui.service.SessionOptions":
    "expires_at 1 Timestamp, auto_save_state 2 bool, max_messages 3 int32, enable_logging 4 bool",
  "ag_ui.service.SessionInfo":
    "session_id 1, created_at 2 Timestamp, last_activity 3 Timestamp, expires_at 4 Timestamp, message_count 5 int32, status 6 Status",
  "ag_ui.service.BatchRunAgentRequest": "requests 1 *RunAgentRequest, options 2 Options",
  "ag_ui.service.BatchRunAgentRequest.Options":
    "parallel_execution 1 bool, max_concurrent 2 int32, timeout 3 Timestamp",
  "ag_ui.service.BatchEventResponse": "request_id 1, event 2 EventResponse, error 3 Error, complete 4 Complete",
  "ag_ui.service.BatchEventResponse.Error": "error_message 1, error_code 2",
  "ag_ui.service.BatchEventResponse.Complete":
    "successful_requests 1 int32, failed_requests 2 int32, completed_at 3 Timestamp",

  "ag_ui.Event":
    "text_message_start 1, text_message_content 2, text_message_end 3, tool_call_start 4, tool_call_args 5, tool_call_end 6, state_snapshot 7, state_delta 8, messages_snapshot 9, raw 10, custom 11, run_started 12, run_finished 13, run_error 14, step_started 15, step_finished 16, text_message_chunk 17, tool_call_chunk 18, subagent_started 19, subagent_finished 20, subagent_error 21, tool_call_result 22, activity_snapshot 23, activity_delta 24, reasoning_start 25, reasoning_message_start 26, reasoning_message_content 27, reasoning_message_end 28, reasoning_message_chunk 29, reasoning_end 30, reasoning_encrypted_value 31",
  "ag_ui.BaseEvent": "type 1 EventType, timestamp 2 int64, raw_event 3 Value, metadata 4 Struct",
  "ag_ui.Message":
    "id 1, role 2, content 3, name 4, tool_calls 5 *ToolCall, tool_call_id 6, error 7, content_parts 8 *InputContent, metadata 9 Struct, subagent_run_id 10, encrypted_value 11, activity_type 12, activity_content 13 Struct",
  "ag_ui.ToolCall": "id 1, type 2, function 3 Function, metadata 4 Struct, encrypted_value 5",
  "ag_ui.Tool": "name 1, description 2, parameters 3 Value, metadata 4 Struct",
  "ag_ui.Context": "description 1, value 2",
  "ag_ui.JsonPatchOperation": "op 1 JsonPatchOperationType, path 2, from 3, value 4 Value",
};

function shapeOf(name: string): string[] {
  const short = (type: string) => type.slice(type.lastIndexOf(".") + 1);
  const event = name === "ag_ui.Event";
  return root
    .lookupType(name)
    .fieldsArray.filter(({ id }) => id <= 100)
    .map((field) => {
      const type = field.type === "string" || event ? "" : short(field.type);
      if (field.map) return `${field.name} ${field.id} map<${short(field.type)}>`;
      return `${field.name} ${field.id} ${field.repeated ? "*" : ""}${type}`.trim();
    });
}

test.each(Object.entries(messages))("%s", (name, fields) => {
  expect(shapeOf(name)).toEqual(fields === "" ? [] : fields.split(", "));
});

const prefixed = (prefix: string, words: string) => words.split(" ").map((word) => `${prefix}_${word}`);

test.each([
  [
    "agent.runtime.v1.RunStatus",
    prefixed("RUN_STATUS", "UNSPECIFIED QUEUED RUNNING WAITING_HUMAN SUCCEEDED FAILED CANCELED TIMED_OUT"),
  ],
  [
    "agent.runtime.v1.EventType",
    prefixed(
      "EVENT_TYPE",
      "UNSPECIFIED RUN_STARTED RUN_COMPLETED RUN_FAILED RUN_CANCELED STEP_STARTED STEP_COMPLETED STEP_FAILED TOOL_CALLED TOOL_RESULT LLM_REQUEST LLM_RESPONSE HITL_REQUIRED HITL_RESOLVED ARTIFACT_CREATED",
    ),
  ],
  ["agent.runtime.v1.ArtifactType", prefixed("ARTIFACT_TYPE", "UNSPECIFIED MESSAGE RECORD FILE")],
  [
    "agent.runtime.v1.HumanCheckpointStatus",
    prefixed("HUMAN_CHECKPOINT_STATUS", "UNSPECIFIED REQUIRED APPROVED REJECTED INPUT_PROVIDED RESOLVED"),
  ],
  ["ag_ui.service.HealthCheckResponse.ServingStatus", ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]],
  ["ag_ui.service.ChatControlRequest.Action", ["PAUSE", "RESUME", "CANCEL", "RESET"]],
  ["ag_ui.service.ChatStatusResponse.Status", ["ACTIVE", "PAUSED", "FINISHED", "ERROR"]],
  ["ag_ui.service.InputType", ["TEXT", "NUMBER", "BOOLEAN", "FILE", "JSON"]],
  ["ag_ui.service.SessionInfo.Status", ["ACTIVE", "IDLE", "EXPIRED", "TERMINATED"]],
])("%s", (name, words) => {
  expect(root.lookupEnum(name).values).toEqual(Object.fromEntries(words.map((word, at) => [word, at])));
});

test.each([
  ["agent.AgentService", "ExecuteTask, GetTaskStatus, CancelTask"],
  [
    "agent.runtime.v1.AgentRuntime",
    "CreateRun, GetRun, ListRuns, CancelRun, ListEvents, StreamEvents >, ApproveCheckpoint, RejectCheckpoint, ProvideCheckpointInput, ListWorkflows, GetWorkflow, GetWorkflowSchemas, GetArtifact",
  ],
  ["ag_ui.service.AGUIService", "RunAgent >, HealthCheck, GetServiceInfo, ValidateInput"],
  [
    "ag_ui.service.AGUIAdvancedService",
    "StreamingChat <>, HumanInLoop <>, GetState, UpdateState, WatchState >, RegisterTools, ExecuteTool, CreateSession, GetSession, EndSession, BatchRunAgent >",
  ],
])("the methods of %s", (name, methods) => {
  const told = root.lookupService(name).methodsArray.map((method) => {
    const streams = `${method.requestStream ? "<" : ""}${method.responseStream ? ">" : ""}`;
    return `${method.name} ${streams}`.trim();
  });
  expect(told).toEqual(methods.split(", "));
});
