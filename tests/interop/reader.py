"""Follows a stream with the PyPI package `httpx-sse` and comes back with the last id that it saw.

Prints `ID DATA` for each event of the log, and ends when the server says that the turn is over.

usage: python reader.py URL
"""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse

BACKOFF_SECONDS = 0.05


def follow(client: httpx.Client, url: str, last: str) -> tuple[str, bool]:
    """Reads one connection; the last id, and whether the turn is over."""
    headers = {"Last-Event-ID": last} if last else {}
    try:
        with connect_sse(client, "GET", url, headers=headers) as source:
            source.response.raise_for_status()
            for event in source.iter_sse():
                last = event.id or last
                if event.event == "stream":
                    print(event.id, event.data, flush=True)
                elif event.event == "bye" and json.loads(event.data)["reason"] == "idle":
                    return last, True
    except httpx.TransportError as error:
        print(f"cut: {error}", file=sys.stderr)
    return last, False


def main() -> None:
    last, is_over = "", False
    with httpx.Client(timeout=30, trust_env=False) as client:
        while not is_over:
            last, is_over = follow(client, sys.argv[1], last)
            if not is_over:
                time.sleep(BACKOFF_SECONDS)


main()
