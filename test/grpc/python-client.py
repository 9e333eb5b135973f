"""A client in Python, made by protoc from the .proto files: what the contracts promise, seen from another language.

Called with the address, and with the directory of the generated modules on PYTHONPATH. Prints one line of JSON.
"""
import json
import sys

import grpc
from google.protobuf import any_pb2, json_format, struct_pb2

from ag_ui import advanced_service_pb2 as advanced
from ag_ui import advanced_service_pb2_grpc as advanced_grpc
from ag_ui import service_pb2 as service
from ag_ui import service_pb2_grpc as service_grpc
from ag_ui import types_pb2 as types
from agent import agent_pb2, agent_pb2_grpc
from agent import runtime_pb2 as runtime
from agent import runtime_pb2_grpc

KEY = (("x-api-key", "python-key"),)


def packed(value):
    inner = struct_pb2.Value()
    json_format.ParseDict(value, inner)
    outer = any_pb2.Any()
    outer.Pack(inner)
    return outer


def unpacked(outer):
    inner = struct_pb2.Value()
    assert outer.Unpack(inner), outer.type_url
    return json_format.MessageToDict(inner)


def prompt(channel):
    """Contract 000."""
    stub = agent_pb2_grpc.AgentServiceStub(channel)
    task = stub.ExecuteTask(agent_pb2.ExecuteTaskRequest(prompt="Count: one two", tools=["text"]), metadata=KEY)
    status = stub.GetTaskStatus(agent_pb2.GetTaskStatusRequest(task_id=task.task_id), metadata=KEY)
    return {"task": task.task_id == status.task_id, "status": status.status}


def run(channel):
    """Contract 002: a run, its events, and one error with its details."""
    stub = runtime_pb2_grpc.AgentRuntimeStub(channel)
    value = runtime.JsonValue(
        struct_value=runtime.JsonStruct(
            fields={
                "text": runtime.JsonValue(string_value="hä"),
                "n": runtime.JsonValue(int_value=2**53 - 1),
                "none": runtime.JsonValue(null_value=runtime.JsonNull()),
            }
        )
    )
    request = runtime.CreateRunRequest(workflow=runtime.WorkflowRef(name="echo"), input=value, labels={"by": "python"})
    run_id = stub.CreateRun(request, metadata=KEY).run.run_id
    events = list(stub.StreamEvents(runtime.StreamEventsRequest(run_id=run_id), metadata=KEY))
    resumed = list(
        stub.StreamEvents(
            runtime.StreamEventsRequest(run_id=run_id), metadata=KEY + (("last-event-id", events[0].event_id),)
        )
    )
    done = stub.GetRun(runtime.GetRunRequest(run_id=run_id), metadata=KEY).run
    return {
        "types": [runtime.EventType.Name(event.type) for event in events],
        "resumed": resumed == events[1:],
        "status": runtime.RunStatus.Name(done.status),
        "output": done.output == value,
    }


def refusals(channel):
    stub = runtime_pb2_grpc.AgentRuntimeStub(channel)
    told = []
    for metadata in (KEY, ()):
        try:
            stub.GetRun(runtime.GetRunRequest(run_id="run_none"), metadata=metadata)
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
            told.append([error.code().name, b"type.googleapis.com/google.rpc.ErrorInfo" in details])
    return told


def ag_ui(channel):
    """Contract 003: a run as events, in both forms."""
    stub = service_grpc.AGUIServiceStub(channel)
    message = types.Message(id="m1", role="user", content="Hello from Python")
    request = service.RunAgentRequest(thread_id="python", run_id="r1", messages=[message], agent="echo", state=packed({"a": 1}))
    text, typed, kinds = "", "", []
    for response in stub.RunAgent(request, metadata=KEY):
        whole = json_format.MessageToDict(response.event.raw_event)
        kinds.append(whole["type"])
        text += whole.get("delta", "")
        if response.typed_event.WhichOneof("event") == "text_message_content":
            typed += response.typed_event.text_message_content.delta
    info = stub.GetServiceInfo(service.ServiceInfoRequest(), metadata=KEY)
    return {"text": text, "typed": typed, "first": kinds[0], "last": kinds[-1], "service": info.service_name}


def chat(channel):
    """Streams both ways, then the state of the session."""
    stub = advanced_grpc.AGUIAdvancedServiceStub(channel)

    def says():
        yield advanced.ChatRequest(init=advanced.InitChatRequest(session_id="python-chat", agent="echo"))
        message = types.Message(role="user", content="one two")
        yield advanced.ChatRequest(message=advanced.SendMessageRequest(chat_id="python-chat", message=message))

    kinds = [response.WhichOneof("response_type") for response in stub.StreamingChat(says(), metadata=KEY)]
    update = advanced.UpdateStateRequest(session_id="python-chat", state_delta=packed({"b": [1, None]}), merge=True)
    state = unpacked(stub.UpdateState(update, metadata=KEY).new_state)
    session = stub.GetSession(advanced.GetSessionRequest(session_id="python-chat"), metadata=KEY)
    return {"kinds": sorted(set(kinds)), "state": state, "messages": session.session_info.message_count}


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        parts = (prompt, run, refusals, ag_ui, chat)
        print(json.dumps({part.__name__: part(channel) for part in parts}))


main()
