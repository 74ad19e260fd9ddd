"""Sends messages over the Unix socket as fast as they are acknowledged; run where an agent stands.

    python bench/sender.py SOCKET CLIENTS SECONDS RECIPIENT

Each client has a connection of its own and one message in flight. Prints a JSON object: ``sent``, ``took_s``, and
``each_us``, what every message took.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

BODY = "The build is green again: the journal's tests pass on both machines, please look at the branch."


def main() -> None:
    path, clients, seconds, recipient = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    params = {"content": BODY, "to": [recipient]}
    request = (
        json.dumps({"jsonrpc": "2.0", "method": "message.send", "params": params, "id": 1}).encode() + b"\n"
    )
    connections = [_connected(path) for _ in range(clients)]
    for connection in connections:  # who calls is known from now on, as for any client that goes on
        connection.sendall(request)
        _checked(connection.recv(65536))
    each_us, took_s = _send(connections, request, seconds)
    print(json.dumps({"sent": len(each_us), "took_s": took_s, "each_us": each_us}))


def _send(connections: list[socket.socket], request: bytes, seconds: float) -> tuple[list[int], float]:
    by_descriptor = {connection.fileno(): connection for connection in connections}
    begun: dict[int, int] = {}
    each_us: list[int] = []
    poller = select.poll()
    for descriptor in by_descriptor:
        poller.register(descriptor, select.POLLIN)
    clock = time.perf_counter_ns
    start = clock()
    end = start + int(seconds * 1e9)
    for descriptor, connection in by_descriptor.items():
        begun[descriptor] = clock()
        connection.send(request)
    while begun:
        for descriptor, _ in poller.poll():
            connection = by_descriptor[descriptor]
            _checked(connection.recv(65536))
            now = clock()
            each_us.append((now - begun.pop(descriptor)) // 1000)
            if now < end:
                begun[descriptor] = now
                connection.send(request)
    return each_us, (clock() - start) / 1e9


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def _checked(answer: bytes) -> None:
    if b'"result"' not in answer or not answer.endswith(b"\n"):
        raise SystemExit(f"refused: {answer.decode(errors='replace')}")


if __name__ == "__main__":
    main()
