"""Calls a method over the Unix socket as the agent that stands here.

    python bench/caller.py SOCKET METHOD < CALLS

CALLS is a JSON array of parameters, one object a call. Prints the results, a JSON array.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from thrum_kernel.client import SocketApi


def main() -> None:
    api = SocketApi(Path(sys.argv[1]))
    try:
        print(json.dumps([api.call(sys.argv[2], **params) for params in json.load(sys.stdin)]))
    finally:
        api.close()


if __name__ == "__main__":
    main()
