"""An OpenAI-compatible endpoint for tests, run in a container beside the workers.

It answers `A model says: <question>`, one second later for each word "slow" in the question. If the
question starts with a status, such as "429 …", that is the status of the answer; the answer to
"garbage …" is invalid JSON. GET /alerts lists what was posted to /alerts.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ALERTS: list[object] = []


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions; POST and GET /alerts."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/alerts":
            ALERTS.extend(body["alerts"])
            return self.answer(200, "")
        question = body["messages"][-1]["content"]
        time.sleep(question.count("slow"))
        if question[:3].isdecimal():
            return self.answer(int(question[:3]), "no")
        if question.startswith("garbage"):
            return self.answer(200, "<html>")
        answer = {"message": {"role": "assistant", "content": f"A model says: {question}"}}
        usage = {"prompt_tokens": 7, "completion_tokens": 9}
        found = {"id": "1", "object": "chat.completion", "choices": [answer], "usage": usage}
        self.answer(200, json.dumps(found))

    def do_GET(self) -> None:
        self.answer(200, json.dumps(ALERTS))

    def answer(self, status: int, text: str) -> None:
        """Sends a text with a status."""
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
