"""``python -m thrum_kernel.testing.fake_runtime``: the program."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from thrum_kernel.testing.fake_runtime.options import parsed
from thrum_kernel.testing.fake_runtime.terminal import Terminal


def main() -> int:
    """Run on this terminal; gives the exit status."""
    cwd = Path.cwd()
    options = parsed(sys.argv[1:], os.environ, cwd)
    with contextlib.suppress(OSError):  # only Linux lets a process say what it is called
        Path("/proc/self/comm").write_text(options.process)
    if not sys.stdin.isatty():
        print("fake-agent: standard input is no terminal", file=sys.stderr)
        return 2
    return Terminal(options, cwd=cwd, env=os.environ).run()


if __name__ == "__main__":
    sys.exit(main())
