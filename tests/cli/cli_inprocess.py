"""The test commands in process: what ``python -m thrum_kernel`` is for the kernel's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from cli_daemon import tree

from thrum_kernel.api import Invocation
from thrum_kernel.cli import local
from thrum_kernel.client import SocketApi
from thrum_kernel.paths import Paths


def connect(socket: Path, request_id: str, token: str) -> SocketApi:
    return SocketApi(socket, request_id=request_id, token=token)


class FilesApi:
    """Answers without a daemon."""

    def call(self, method: str, /, **params: Any) -> Any:
        return ["from files"]


def offline(inv: Invocation, paths: Paths) -> FilesApi:
    return FilesApi()


if __name__ == "__main__":
    sys.exit(local.main(sys.argv[1:], os.environ, make_tree=tree, connect=connect, offline=offline))
