"""Takes the time from when a line is printed to when its alarm is pushed to the agent; run where that agent stands.

    python bench/alarms.py SOCKET SECONDS

Prints a JSON object: ``each_ms``.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

from thrum_kernel.client import ThrumClient

PRINTED = re.compile(r"ALARM (\d+)")


async def main() -> None:
    each_ms: list[float] = []
    async with ThrumClient(Path(sys.argv[1])) as client:
        await client.subscribe("subscribe")
        try:
            async with asyncio.timeout(float(sys.argv[2])):
                async for pushed in client.notifications():
                    if found := PRINTED.search(str(pushed.params)):
                        each_ms.append((time.time_ns() - int(found[1])) / 1e6)
        except TimeoutError:
            pass
    print(json.dumps({"each_ms": each_ms}))


if __name__ == "__main__":
    asyncio.run(main())
