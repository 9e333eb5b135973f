"""A worker for Troupe: registers an agent, takes its tasks, works on them, beats, and reports.

Needs Python 3.9 or newer and nothing else. Write a function of a task and run a worker:

    from troupe_worker import Worker

    def shout(task):
        return {"text": task.input["text"].upper()}

    Worker("http://127.0.0.1:8000", agent_type="shout", run=shout).run_forever()

Outages of the server are waited out. A function starts again only if its completion was not
acknowledged; hand ``task.idempotency_key`` (the same for every attempt) to the systems that you call.
"""

import json
import logging
import random
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.client import HTTPException
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

__all__ = ["ApiError", "Task", "TaskFailure", "TaskRejected", "TaskWithdrawn", "Worker"]

_WAIT_S = 25
_TIMEOUT_S = 30.0
_PAUSE_S_MIN = 0.1
_PAUSE_S_MAX = 5.0
_TOKEN_MARGIN_S = 60.0
_LOST = (403, 404, 409, 412)
_log = logging.getLogger("troupe_worker")


class ApiError(Exception):
    """A refusal in the server's words. ``code`` is of its catalogue, such as ``conflict``."""

    def __init__(self, status: int, code: str, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details

    @property
    def passing(self) -> bool:
        """The very same request may succeed later."""
        return self.status == 429 or self.status >= 500 or self.code == "in_progress"


class TaskFailure(Exception):
    """Raise it to fail the task with a code of your own; ``retryable=False`` leaves the retry policy out."""

    def __init__(self, code: str, message: str, retryable: bool = True, details: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.details = details


class TaskRejected(Exception):
    """Raise it to give the task back: another agent gets it, and the attempt does not count."""


class TaskWithdrawn(Exception):
    """The task is not wanted any more: cancelled, timed out, or given to another."""


class _Stopped(Exception):
    """The worker ends; nothing is tried any more."""


class _Api:
    """Calls of the HTTP API: credentials, errors, and trying again for as long as trying helps."""

    def __init__(self, url: str, api_key: Optional[str], client_id: Optional[str], client_secret: Optional[str]) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._client = (client_id, client_secret) if client_id and client_secret else None
        self._token: Optional[str] = None
        self._token_until = 0.0
        self._lock = threading.Lock()

    def call(self, method: str, path: str, body: Any = None, timeout: float = _TIMEOUT_S, key: Optional[str] = None) -> Any:
        """One call. Raises ApiError for a refusal, OSError or HTTPException when there is no answer."""
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        return self._send(method, path, data, timeout, key)

    def persist(self, method: str, path: str, stopped: threading.Event, body: Any = None, key: Optional[str] = None) -> Any:
        """Calls again, with growing pauses, while there is no answer or one that may pass."""
        # Raises here what JSON cannot hold: trying again would not help.
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        pause = _PAUSE_S_MIN
        while True:
            try:
                return self._send(method, path, data, _TIMEOUT_S, key)
            except ApiError as error:
                if not error.passing:
                    raise
            except (OSError, HTTPException):
                pass
            # Not all at once after an outage.
            if stopped.wait(pause * random.uniform(0.5, 1.0)):
                raise _Stopped()
            pause = min(_PAUSE_S_MAX, pause * 2)

    def _send(self, method: str, path: str, data: Optional[bytes], timeout: float, key: Optional[str]) -> Any:
        headers = self._authorization()
        if data is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            return self._open(method, path, data, headers, timeout)
        except ApiError as error:
            if error.status == 401:
                # The next try trades for another token.
                self._token = None
            raise

    def _authorization(self) -> Dict[str, str]:
        if self._api_key:
            return {"X-API-Key": self._api_key}
        if self._client is None:
            return {}
        with self._lock:
            if self._token is None or time.monotonic() >= self._token_until:
                body = {"client_id": self._client[0], "client_secret": self._client[1]}
                headers = {"Content-Type": "application/json"}
                answer = self._open("POST", "/v1/auth/token", json.dumps(body).encode(), headers, _TIMEOUT_S)
                self._token = answer["access_token"]
                self._token_until = time.monotonic() + answer["expires_in"] - _TOKEN_MARGIN_S
            return {"Authorization": f"Bearer {self._token}"}

    def _open(self, method: str, path: str, data: Optional[bytes], headers: Dict[str, str], timeout: float) -> Any:
        request = urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise _refusal(error.code, error.read()) from None
        return json.loads(text) if text else None


def _refusal(status: int, text: bytes) -> ApiError:
    try:
        error = json.loads(text)["error"]
        return ApiError(status, error["code"], error["message"], error.get("details"))
    except (ValueError, KeyError, TypeError):
        return ApiError(status, "unknown", f"{status} {text[:200].decode('utf-8', 'replace')}")


class Task:
    """A task in a worker's hands."""

    def __init__(self, api: _Api, agent_id: str, shape: Mapping[str, Any], stopped: threading.Event) -> None:
        self.id: str = shape["task_id"]
        self.type: str = shape["task_type"]
        self.attempt: int = shape["attempt"]
        """1, 2, 3…: different for each start."""
        self.idempotency_key: str = shape["task_id"]
        """The same for every attempt: hand it to the systems that you call."""
        self.input: Any = shape["input"]
        self.shape = shape
        """The task as the server shows it."""
        self.withdrawn = threading.Event()
        """Set when the task is cancelled, timed out, or given to another."""
        self._api = api
        self._agent_id = agent_id
        self._stopped = stopped
        self._path = "/v1/tasks/" + urllib.parse.quote(self.id, safe="")

    def check(self) -> None:
        """Raises TaskWithdrawn when the task is not wanted any more: call it in long loops."""
        if self.withdrawn.is_set():
            raise TaskWithdrawn(self.id)

    def progress(
        self,
        fraction: float,
        message: Optional[str] = None,
        output: Any = None,
        details: Optional[Mapping[str, Any]] = None,
        estimated_completion: Optional[str] = None,
    ) -> None:
        """Tells how far it is (0–1). One try: the next one says more. Raises TaskWithdrawn."""
        self.check()
        told = {
            "message": message,
            "output": output,
            "details": details,
            "estimated_completion": estimated_completion,
        }
        body = {"progress": fraction, **{name: value for name, value in told.items() if value is not None}}
        try:
            self._api.call("PATCH", self._path, self._update("running", body))
        except ApiError as error:
            if error.status in _LOST:
                self.withdrawn.set()
            elif not error.passing:
                raise
        except (OSError, HTTPException):
            pass
        self.check()

    def _update(self, status: str, body: Mapping[str, Any]) -> Dict[str, Any]:
        return {"status": status, "attempt": self.attempt, "agent_id": self._agent_id, **body}

    def _settle(self, status: str, body: Mapping[str, Any]) -> bool:
        """False: the attempt is not this worker's any more."""
        try:
            self._api.persist("PATCH", self._path, self._stopped, self._update(status, body))
            return True
        except ApiError as error:
            if error.status not in _LOST:
                raise
        # Perhaps the first try was heard, and only its answer was lost.
        try:
            now = self._api.persist("GET", self._path, self._stopped)
        except ApiError:
            return False
        return self._ours(now) and now["status"] == status

    def _fail(self, error: BaseException) -> bool:
        message = str(error) or type(error).__name__
        if isinstance(error, TaskRejected):
            return self._settle("rejected", {"reason": message[:1024]})
        failure: Dict[str, Any] = {"code": "agent_failed", "message": message[:16384]}
        if isinstance(error, TaskFailure):
            failure.update(code=error.code, retryable=error.retryable)
            if error.details is not None:
                failure["details"] = error.details
        return self._settle("failed", {"error": failure})

    def _give_back(self) -> None:
        """One try: others may have it, and the attempt is not charged."""
        body = self._update("rejected", {"reason": "the worker stops"})
        self._api.call("PATCH", self._path, body, timeout=5.0)

    def _current(self) -> bool:
        now = self._api.call("GET", self._path)
        return self._ours(now) and now["status"] in ("assigned", "running")

    def _ours(self, now: Mapping[str, Any]) -> bool:
        return now["attempt"] == self.attempt and now["agent"] == self._agent_id


class Worker:
    """One agent: ``run(task)`` does a task and returns its output.

    ``credentials``: ``api_key``, or the agent's own ``client_id`` and ``client_secret``; none for a
    Troupe on this machine without keys. ``heartbeat`` is in seconds; the worker beats three times as often.
    """

    def __init__(
        self,
        url: str,
        agent_type: str,
        run: Callable[[Task], Any],
        *,
        api_key: Optional[str] = None,
        client_id: Optional[str] = None,
        client_secret: Optional[str] = None,
        agent_id: Optional[str] = None,
        name: Optional[str] = None,
        version: Optional[str] = None,
        capabilities: Sequence[str] = (),
        concurrency: int = 1,
        resources: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        heartbeat: float = 30.0,
        drain: float = 10.0,
        metrics: Optional[Callable[[], Mapping[str, Any]]] = None,
    ) -> None:
        self._api = _Api(url, api_key, client_id, client_secret)
        self._run = run
        self._concurrency = concurrency
        self._heartbeat = heartbeat
        self._drain = drain
        self._metrics = metrics
        # Names the process: registering again after an outage keeps the tasks that it has.
        self._instance = str(uuid.uuid4())
        optional = {"name": name, "version": version, "resources": resources, "metadata": metadata}
        self._form: Dict[str, Any] = {
            "agent_type": agent_type,
            "capabilities": list(capabilities),
            "max_concurrent_tasks": concurrency,
            "heartbeat_ms": round(heartbeat * 1000),
            "instance": self._instance,
            **{field: value for field, value in optional.items() if value is not None},
        }
        self._is_itself = bool(client_id and client_secret)
        self._registrations = 0
        self.agent_id = client_id if self._is_itself else agent_id
        """Chosen by you, the agent's own with its own credentials, or made by the server at the start."""
        self.client_secret: Optional[str] = None
        """The agent's own secret, given once, at its first registration."""
        self._tasks: Dict[str, Task] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._stopped = threading.Event()
        self._loops: list = []

    @property
    def running(self) -> int:
        """Tasks in hand."""
        return len(self._tasks)

    def start(self) -> None:
        """Returns when it is registered and takes tasks. Waits for a server that is away."""
        self._register()
        for loop in (self._take, self._beat):
            thread = threading.Thread(target=loop, daemon=True)
            thread.start()
            self._loops.append(thread)

    def stop(self) -> None:
        """Takes no more, gives running tasks their time, and deregisters: what is left goes to others.

        With the agent's own credentials it only gives back what it has, so that it may come again.
        """
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._tasks, self._drain)
            for task in self._tasks.values():
                task.withdrawn.set()
        self._stopped.set()
        if self.agent_id is None:
            return
        if self._is_itself:
            self._give_back()
            return
        try:
            self._api.call("DELETE", self._at(""), timeout=5.0)
        except (ApiError, OSError, HTTPException) as error:
            _log.warning("deregister: %s", error)

    def _give_back(self) -> None:
        with self._changed:
            tasks = list(self._tasks.values())
        for task in tasks:
            try:
                task._give_back()
            except (ApiError, OSError, HTTPException) as error:
                _log.warning("give back %s: %s", task.id, error)

    def run_forever(self) -> None:
        """Works until the process gets SIGINT or SIGTERM."""
        told = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: told.set())
        if not self._loops:
            self.start()
        while not told.wait(1.0):
            pass
        self.stop()

    def _at(self, rest: str) -> str:
        return f"/v1/agents/{urllib.parse.quote(str(self.agent_id), safe='')}{rest}"

    def _register(self) -> None:
        form = dict(self._form) if self.agent_id is None else {**self._form, "agent_id": self.agent_id}
        # Without an id of one's own, the key keeps a repeated try from making a second agent.
        self._registrations += 1
        key = f"{self._instance}-{self._registrations}"
        answer = self._api.persist("POST", "/v1/agents", self._closing, form, key)
        self.agent_id = answer["agent"]["agent_id"]
        self.client_secret = answer["client_secret"] or self.client_secret

    def _take(self) -> None:
        while not self._closing.is_set():
            try:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing.is_set() or len(self._tasks) < self._concurrency)
                if self._closing.is_set():
                    return
                found = self._api.call("GET", self._at(f"/tasks/next?wait={_WAIT_S}"), timeout=_WAIT_S + 10.0)
                if found["task"] is not None and not self._closing.is_set():
                    self._accept(found["task"])
            except (ApiError, OSError, HTTPException) as error:
                self._recover(error, "take a task")

    def _accept(self, shape: Mapping[str, Any]) -> None:
        with self._changed:
            known = self._tasks.get(shape["task_id"])
            if known is not None:
                # Handed out again: the same attempt goes on; a newer one means that the old one is over.
                if known.attempt == shape["attempt"]:
                    return
                known.withdrawn.set()
            task = Task(self._api, str(self.agent_id), shape, self._stopped)
            self._tasks[task.id] = task
        threading.Thread(target=self._perform, args=(task,), daemon=True).start()

    def _perform(self, task: Task) -> None:
        try:
            self._do(task)
        except _Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - the worker goes on whatever a task does
            _log.exception("report %s", task.id)
            # Refused for what it is (too large, not JSON…): say so instead, rather than leave it to time out.
            try:
                task._fail(TaskFailure("report_refused", str(error)))
            except (ApiError, _Stopped) as again:
                _log.warning("report %s: %s", task.id, again)
        finally:
            with self._changed:
                if self._tasks.get(task.id) is task:
                    del self._tasks[task.id]
                self._changed.notify_all()

    def _do(self, task: Task) -> None:
        if not task._settle("running", {}):
            return
        failure: Optional[Exception] = None
        output: Any = None
        try:
            output = self._run(task)
        except Exception as error:  # noqa: BLE001 - whatever the function raises is the task's failure
            failure = error
        if task.withdrawn.is_set():
            return
        if failure is None:
            wanted = task._settle("completed", {"output": output})
        else:
            wanted = task._fail(failure)
        if not wanted:
            _log.warning("report %s: the attempt was not this worker's any more", task.id)

    def _beat(self) -> None:
        while not self._stopped.wait(self._heartbeat / 3):
            with self._changed:
                tasks = dict(self._tasks)
            body: Dict[str, Any] = {"current_tasks": len(tasks), "tasks": list(tasks)}
            if self._metrics is not None:
                body["metrics"] = dict(self._metrics())
            try:
                answer = self._api.call("POST", self._at("/heartbeat"), body, timeout=max(1.0, self._heartbeat))
                for task_id in answer["cancelled"]:
                    self._look_after(tasks.get(task_id))
            except (ApiError, OSError, HTTPException) as error:
                self._recover(error, "beat")

    def _look_after(self, task: Optional[Task]) -> None:
        """An older attempt may be meant: the task itself says."""
        if task is None:
            return
        try:
            if not task._current():
                task.withdrawn.set()
        except ApiError as error:
            if error.status != 404:
                raise
            task.withdrawn.set()

    def _recover(self, error: Exception, doing: str) -> None:
        """The server is away: wait. It does not know the agent any more: register again."""
        if self._closing.is_set():
            return
        _log.warning("%s: %s", doing, error)
        try:
            if isinstance(error, ApiError) and (error.status == 404 or error.code == "agent_unavailable"):
                self._register()
            self._closing.wait(random.uniform(0.5, 1.0))
        except (ApiError, _Stopped) as again:
            _log.warning("register again: %s", again)

