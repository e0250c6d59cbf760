"""A mock of the chat-completions API that we did not write, on a free port.

Usage: mockllm_server.py DIR. Prints its address, and ends with its standard input.
"""

import os
import pathlib
import socket
import sys
import threading

responses = pathlib.Path(sys.argv[1]) / "mockllm.yml"
responses.parent.mkdir(parents=True, exist_ok=True)
# It looks the answer up once more when it streams, so the answer answers itself.
answer = "Hello, how can I help you today?"
responses.write_text(f"responses:\n  say hello: {answer}\n  {answer}: {answer}\n")
os.environ["MOCKLLM_RESPONSES_FILE"] = str(responses)

import uvicorn  # noqa: E402  it reads the variable above when it is loaded

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
server = uvicorn.Server(uvicorn.Config("mockllm.server:app", log_level="error"))


def end_with_input():
    sys.stdin.read()
    server.should_exit = True


threading.Thread(target=end_with_input, daemon=True).start()
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
server.run(sockets=[listener])
