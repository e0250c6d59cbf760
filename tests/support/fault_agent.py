"""An agent that speaks ACP over stdio and does what its script says, faults included.

The script is the first argument, as JSON: a list of steps for each method that comes, for example
`{"session/prompt": [{"say": "hello"}, {"exit": 3}]}`; "refuse" instead of a list is the answer
"method not found". A method that it does not name is answered as a decent agent would. A step is
an object with one key:

  result X      answers the request           error N      answers it with this JSON-RPC code
  say TEXT      says a piece of the answer    update X     says a session/update
  of [S, X]     the same, of session S        ask [M, P]   asks M with P, then says the answer
  ask_all [..]  asks several things at once   write TEXT   writes this line as it is
  flood N       writes N bytes of one line    deaf N       asks N times, and reads nothing
  child X       starts a process that sleeps, and says its id
  cancelled X   waits for session/cancel      hang X       never goes on
                                                           (deaf to SIGTERM, if "hard")
  exit N        exits                         stderr TEXT  writes to stderr

Every message that it hears is appended to the file that AGENT_LOG names, a line each.
"""

import json
import os
import signal
import subprocess
import sys
import time

SCRIPT = json.loads(sys.argv[1])
LOG = os.environ.get("AGENT_LOG")
DEFAULTS = {
    "initialize": [{"result": {"protocolVersion": 1}}],
    "session/new": [{"result": {"sessionId": "s1"}}],
    "session/prompt": [{"result": {"stopReason": "end_turn"}}],
    "session/set_config_option": "refuse",
    "session/set_model": "refuse",
    "session/set_mode": "refuse",
}
CHILDREN = []
cancelled = False
n_asked = 0


def write(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def read():
    """The next message; the program ends with its input."""
    global cancelled
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    if LOG:
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(line)
    message = json.loads(line)
    cancelled = cancelled or message.get("method") == "session/cancel"
    return message


def update(what, session="s1"):
    write({"method": "session/update", "params": {"sessionId": session, "update": what}})


def say(text):
    content = {"type": "text", "text": text}
    update({"sessionUpdate": "agent_message_chunk", "content": content})


def ask(questions):
    global n_asked
    waiting = set()
    for method, params in questions:
        n_asked += 1
        waiting.add(f"q{n_asked}")
        write({"id": f"q{n_asked}", "method": method, "params": params})
    while waiting:
        answer = read()
        if answer.get("id") in waiting and "method" not in answer:
            waiting.remove(answer["id"])
            said = answer.get("result", answer.get("error"))
            say(json.dumps(said, separators=(",", ":"), sort_keys=True))


def play(step, request):
    ((verb, what),) = step.items()
    if verb == "result":
        write({"id": request["id"], "result": what})
    elif verb == "error":
        error = {"code": what, "message": "hush: " + json.dumps(request["params"])}
        write({"id": request["id"], "error": error})
    elif verb == "update":
        update(what)
    elif verb == "say":
        say(what)
    elif verb == "of":
        update(what[1], what[0])
    elif verb == "ask":
        ask([what])
    elif verb == "ask_all":
        ask(what)
    elif verb == "write":
        sys.stdout.write(what + "\n")
        sys.stdout.flush()
    elif verb == "flood":
        sys.stdout.write("x" * what)
        sys.stdout.flush()
    elif verb == "stderr":
        sys.stderr.write(what)
        sys.stderr.flush()
    elif verb == "child":
        child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        CHILDREN.append(child)
        say(str(child.pid))
    elif verb == "cancelled":
        while not cancelled:
            read()
    elif verb == "hang":
        if what == "hard":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(600)
    elif verb == "deaf":
        for n in range(what):
            write({"id": n, "method": "x" * 1000, "params": {}})
        play({"hang": True}, request)
    elif verb == "exit":
        os._exit(what)
    else:
        raise ValueError(verb)


def main():
    while True:
        request = read()
        method = request.get("method")
        if method is None or "id" not in request:
            continue
        steps = SCRIPT.get(method, DEFAULTS.get(method, [{"result": {}}]))
        if steps == "refuse":
            write({"id": request["id"], "error": {"code": -32601, "message": "not found"}})
            continue
        for step in steps:
            play(step, request)


main()
