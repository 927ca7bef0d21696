"""An OpenAI-compatible endpoint for tests, run in a container beside the workers.

It answers `<question>: <words>` after as many seconds as the question has words "slow".
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"]
        time.sleep(question.count("slow"))
        answer = {"message": {"role": "assistant", "content": f"A model says: {question}"}}
        data = json.dumps({"id": "1", "object": "chat.completion", "choices": [answer]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
