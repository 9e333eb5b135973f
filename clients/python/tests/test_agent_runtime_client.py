"""Against a running server: AGENT_RUNTIME_URL, and AGENT_RUNTIME_KEY where it asks for one.

    AGENT_RUNTIME_URL=http://127.0.0.1:8000 python3 -m unittest discover -s clients/python/tests
"""

import os
import sys
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent_runtime_client import AgentRuntimeClient, AgentRuntimeError  # noqa: E402

URL = os.environ.get("AGENT_RUNTIME_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("AGENT_RUNTIME_KEY")
PROMPT = "Bees keep their hive warm. They dance to tell where flowers are."


class AgainstAServer(unittest.TestCase):
    def setUp(self) -> None:
        self.client = AgentRuntimeClient(base_url=URL, api_key=KEY)

    def test_the_example_of_the_text(self) -> None:
        accepted = self.client.execute_task(
            prompt="Create a Python function to calculate factorial",
            context={"language": "python"},
            tools=["code_generation"],
        )
        self.assertEqual(accepted["status"], "accepted")
        self.assertEqual(accepted["message"], "Task submitted for execution")
        final = self.client.wait_for_task_completion(accepted["task_id"], timeout=60, poll_interval=0.05)
        self.assertEqual(final["status"], "completed")
        self.assertIn("No model is configured", final["result"])
        self.assertIn("code_generation", final["result"])
        self.assertEqual(final["events"][0], "Task created")

    def test_tools_do_what_they_can(self) -> None:
        accepted = self.client.execute_task(PROMPT, tools=["text_statistics", "echo"])
        final = self.client.wait_for_task_completion(accepted["task_id"], timeout=60, poll_interval=0.05)
        self.assertIn("12 words, 2 sentences", final["result"])
        self.assertIn(PROMPT, final["result"])

    def test_cancel_after_the_end_tells_the_end(self) -> None:
        task_id = self.client.execute_task(PROMPT)["task_id"]
        self.client.wait_for_task_completion(task_id, timeout=60, poll_interval=0.05)
        answer = self.client.cancel_task(task_id)
        self.assertEqual((answer["task_id"], answer["status"]), (task_id, "completed"))

    def test_an_unknown_task_is_404(self) -> None:
        for call in (self.client.get_task_status, self.client.cancel_task):
            with self.assertRaises(AgentRuntimeError) as raised:
                call("550e8400-e29b-41d4-a716-446655440000")
            self.assertEqual(raised.exception.status, 404)

    def test_bad_input_is_400_and_says_why(self) -> None:
        with self.assertRaises(AgentRuntimeError) as raised:
            self.client.get_task_status("")
        self.assertEqual((raised.exception.status, raised.exception.detail), (400, "Invalid task_id format"))

    @unittest.skipUnless(KEY, "the server asks for no key")
    def test_a_wrong_key_is_401(self) -> None:
        with self.assertRaises(AgentRuntimeError) as raised:
            AgentRuntimeClient(URL, api_key="wrong").execute_task(PROMPT)
        self.assertEqual(raised.exception.status, 401)


class WithoutAServer(unittest.TestCase):
    def test_nobody_there(self) -> None:
        with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as gone:
            port = gone.server_address[1]
        with self.assertRaises(AgentRuntimeError) as raised:
            AgentRuntimeClient(f"http://127.0.0.1:{port}").get_task_status("x")
        self.assertIsNone(raised.exception.status)

    def test_a_server_that_is_busy_is_asked_again_with_the_same_key(self) -> None:
        keys = []

        class Busy(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                keys.append(self.headers["Idempotency-Key"])
                body = b'{"detail": "busy"}' if len(keys) == 1 else b'{"task_id": "t"}'
                self.send_response(503 if len(keys) == 1 else 200)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Busy) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                answer = AgentRuntimeClient(f"http://127.0.0.1:{server.server_address[1]}").execute_task("x")
            finally:
                server.shutdown()
                thread.join()
        self.assertEqual(answer, {"task_id": "t"})
        self.assertEqual(len(keys), 2)
        self.assertEqual(len(set(keys)), 1)


if __name__ == "__main__":
    unittest.main()
