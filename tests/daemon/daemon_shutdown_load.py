"""Sends over many connections, several requests at once in each, while the daemon is told to end.

Run in an agent's worktree: ``python daemon_shutdown_load.py SOCKET PID RECIPIENT``. Prints the ids of messages that
were acknowledged, how many requests were refused because the daemon stops, how many got no answer, and other refusals.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from thrum_kernel.testing.waiting import until_on_loop

CLIENTS, AT_ONCE = 30, 3


async def load(socket: str, recipient: str, number: int, found: dict[str, Any]) -> None:
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return
    asked = 0
    try:
        while True:
            for _ in range(AT_ONCE):
                asked += 1
                params = {"content": f"shutdownload {number} {asked}", "to": recipient}
                request = {"jsonrpc": "2.0", "id": asked, "method": "message.send", "params": params}
                writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            for _ in range(AT_ONCE):
                line = await reader.readline()
                if not line:
                    return
                asked -= 1
                note(json.loads(line), found)
    except OSError:
        return
    finally:
        found["unanswered"] += asked
        writer.close()


def note(answer: dict[str, Any], found: dict[str, Any]) -> None:
    if "result" in answer:
        found["answered"].append(answer["result"]["message_id"])
    elif "shutting down" in answer["error"]["message"] or "stop" in answer["error"]["message"]:
        found["refused"] += 1
    else:
        found["refused_otherwise"].append(answer["error"])


async def main() -> None:
    found: dict[str, Any] = {"answered": [], "refused": 0, "unanswered": 0, "refused_otherwise": []}
    loads = [asyncio.create_task(load(sys.argv[1], sys.argv[3], n, found)) for n in range(CLIENTS)]
    await until_on_loop(lambda: len(found["answered"]) >= 2 * CLIENTS, what="the load")
    os.kill(int(sys.argv[2]), signal.SIGTERM)
    await asyncio.gather(*loads)
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
