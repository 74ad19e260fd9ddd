"""Sends messages as fast as the daemon takes them, several at once, and prints the id of each that was acknowledged.

Run in an agent's worktree: ``python sender.py SOCKET RECIPIENT CLIENTS``. Ends when the daemon goes away.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys


async def send_until_the_end(socket: str, recipient: str, name: int) -> None:
    reader, writer = await asyncio.open_unix_connection(socket)
    number = 0
    try:
        while True:
            number += 1
            request = {
                "jsonrpc": "2.0",
                "id": number,
                "method": "message.send",
                "params": {"content": f"load {name}.{number}", "to": recipient},
            }
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
            if not line:
                return
            answer = json.loads(line)
            if "result" in answer:
                os.write(1, answer["result"]["message_id"].encode() + b"\n")
            else:
                os.write(2, line)
                await asyncio.sleep(0.01)
    except OSError:
        return
    finally:
        writer.close()


async def main() -> None:
    socket, recipient, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])
    await asyncio.gather(*(send_until_the_end(socket, recipient, n) for n in range(clients)))


if __name__ == "__main__":
    asyncio.run(main())
