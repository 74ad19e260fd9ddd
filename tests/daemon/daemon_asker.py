"""Sends standard input to a daemon, byte for byte, and does what it is told with the answer.

``python daemon_asker.py SOCKET read|line|taste|die``: print everything until the daemon closes, print one line, take a
little and be killed, be killed without taking anything.
"""

from __future__ import annotations

import os
import signal
import socket
import sys


def main() -> None:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(20)
    link.connect(sys.argv[1])
    data, then = sys.stdin.buffer.read(), sys.argv[2]
    link.sendall(data)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if then == "taste":
        link.recv(4096)
        os.kill(os.getpid(), signal.SIGKILL)
    found = b""
    while not (then == "line" and found.endswith(b"\n")):
        more = link.recv(65536)
        if not more:
            break
        found += more
        if b"S\0\0\0\x01" in found[-6:]:
            link.sendall(b"A\0\0\0\0")
    os.write(1, found)


if __name__ == "__main__":
    main()
