"""``python -m thrum_kernel``, but with one write and one sync for each commit: what group commit is measured against.

Everything else is the same program. Only the bench runs this.
"""

from __future__ import annotations

import sys

from thrum_kernel.__main__ import main
from thrum_kernel.commit import Committer


async def _flush(self: Committer) -> None:
    try:
        while self._waiting:
            await self._write([self._waiting.pop(0)])
    finally:
        self._flusher = None


if __name__ == "__main__":
    Committer._flush = _flush  # type: ignore[method-assign]
    sys.exit(main())
