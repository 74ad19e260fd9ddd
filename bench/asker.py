"""Asks one method over the Unix socket, one request after the other; run where an agent stands.

    python bench/asker.py SOCKET METHOD SECONDS

Prints a JSON object: ``each_us``, what every answer took.
"""

from __future__ import annotations

import json
import socket
import sys
import time


def main() -> None:
    path, method, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    request = json.dumps({"jsonrpc": "2.0", "method": method, "params": {}, "id": 1}).encode() + b"\n"
    each_us = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        end = time.perf_counter_ns() + int(seconds * 1e9)
        while (begun := time.perf_counter_ns()) < end:
            connection.sendall(request)
            answer = connection.recv(65536)
            each_us.append((time.perf_counter_ns() - begun) // 1000)
            if b'"result"' not in answer:
                raise SystemExit(f"refused: {answer.decode(errors='replace')}")
    print(json.dumps({"each_us": each_us}))


if __name__ == "__main__":
    main()
