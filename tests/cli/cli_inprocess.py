"""The test commands in process: what ``python -m thrum_kernel`` is for the kernel's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from cli_daemon import tree

from thrum_kernel.api import Api, Invocation
from thrum_kernel.bus import address
from thrum_kernel.cli import local
from thrum_kernel.errors import RemoteError
from thrum_kernel.paths import Paths


class LineApi:
    """Asks a daemon in JSON lines, a connection a call."""

    def __init__(self, socket: Path, request_id: str) -> None:
        self.socket = socket
        self.request_id = request_id

    def call(self, method: str, /, **params: Any) -> Any:
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": method,
            "params": params,
            "request_id": self.request_id,
        }
        with address.connect(self.socket, timeout_s=20) as link, link.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
        if "error" in answer:
            raise RemoteError(
                answer["error"]["code"], answer["error"]["message"], answer["error"].get("data")
            )
        return answer["result"]


class FilesApi:
    """Answers without a daemon."""

    def call(self, method: str, /, **params: Any) -> Any:
        return ["from files"]


def offline(inv: Invocation, paths: Paths) -> Api:
    return FilesApi()


if __name__ == "__main__":
    sys.exit(local.main(sys.argv[1:], os.environ, make_tree=tree, connect=LineApi, offline=offline))
