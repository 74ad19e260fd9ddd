"""``python -m thrum_kernel``, but with one write and one sync for each commit: what group commit is measured against.

Everything else is the same program. Only the bench runs this.
"""

from __future__ import annotations

import sys
from typing import Any

from thrum_kernel.__main__ import main
from thrum_kernel.commit import Committer


def _take(self: Committer) -> list[Any]:
    return [self._waiting.pop(0)] if self._waiting else []


if __name__ == "__main__":
    Committer._take = _take  # type: ignore[method-assign]
    sys.exit(main())
