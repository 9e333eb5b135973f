"""Client of the agent runtime API (contract 000): execute a prompt, ask for its status, cancel it.

Needs Python 3.9 or newer and nothing else. Every call returns the answer's JSON as a dict and
raises AgentRuntimeError for an answer that is an error, or when no server can be reached.
"""

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any, Dict, List, Optional

__all__ = ["AgentRuntimeClient", "AgentRuntimeError", "FINAL_STATUSES"]

FINAL_STATUSES = ("completed", "failed", "cancelled")
"""A task in one of these does not change any more."""

_RETRIED_STATUSES = (429, 502, 503, 504)
_TRIES = 4
_LONGEST_WAIT_S = 10.0


class AgentRuntimeError(Exception):
    """An answer that is an error. ``status`` is the HTTP status, or None when nobody answered."""

    def __init__(self, detail: str, status: Optional[int] = None) -> None:
        super().__init__(detail if status is None else f"{status}: {detail}")
        self.detail = detail
        self.status = status


class AgentRuntimeClient:
    """Speaks to one server. May be used by several threads."""

    def __init__(self, base_url: str = "http://localhost:8000", api_key: Optional[str] = None, request_timeout: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.request_timeout = request_timeout

    def execute_task(self, prompt: str, context: Optional[Dict[str, str]] = None, tools: Optional[List[str]] = None) -> Dict[str, Any]:
        """Submits a prompt: ``{"task_id", "status", "message"}``.

        Sent again after a lost connection it is still one task: all tries carry one key.
        """
        body = {"prompt": prompt, "context": context, "tools": tools}
        return self._post("execute_task", body, {"Idempotency-Key": str(uuid.uuid4())})

    def get_task_status(self, task_id: str) -> Dict[str, Any]:
        """``{"task_id", "status", "result", "events"}``; ``result`` is None until there is one."""
        return self._post("get_task_status", {"task_id": task_id})

    def cancel_task(self, task_id: str) -> Dict[str, Any]:
        """``{"task_id", "status", "message"}``; a task that has ended keeps its status."""
        return self._post("cancel_task", {"task_id": task_id})

    def wait_for_task_completion(self, task_id: str, timeout: float = 300.0, poll_interval: float = 1.0) -> Dict[str, Any]:
        """The status as soon as it is a final one. Raises TimeoutError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.get_task_status(task_id)
            if status["status"] in FINAL_STATUSES:
                return status
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"Task {task_id} is {status['status']} after {timeout} seconds")
            time.sleep(min(poll_interval, left))

    def _post(self, name: str, body: Dict[str, Any], more: Optional[Dict[str, str]] = None) -> Dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", **(more or {})}
        if self.api_key:
            headers["X-API-Key"] = self.api_key
        url = f"{self.base_url}/ninja-api/grpc/{name}"
        request = urllib.request.Request(url, data=json.dumps(body).encode("utf-8"), headers=headers, method="POST")
        for tried in range(1, _TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.request_timeout) as answer:
                    return json.loads(answer.read().decode("utf-8"))
            except urllib.error.HTTPError as error:
                failure = AgentRuntimeError(_detail(error), error.code)
                wait = _retry_after(error, tried)
                again = error.code in _RETRIED_STATUSES
            except (urllib.error.URLError, OSError) as error:
                failure = AgentRuntimeError(f"{self.base_url} cannot be reached: {error}")
                wait = _backoff(tried)
                again = True
            if not again or tried == _TRIES:
                raise failure
            time.sleep(wait)
        raise AssertionError("not reached")


def _detail(error: urllib.error.HTTPError) -> str:
    """The error's own words; the status line for an answer that is none of this API's."""
    try:
        return str(json.loads(error.read().decode("utf-8"))["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def _backoff(tried: int) -> float:
    return min(0.25 * 2 ** (tried - 1), _LONGEST_WAIT_S)


def _retry_after(error: urllib.error.HTTPError, tried: int) -> float:
    try:
        return min(float(error.headers.get("Retry-After", "")), _LONGEST_WAIT_S)
    except ValueError:
        return _backoff(tried)
