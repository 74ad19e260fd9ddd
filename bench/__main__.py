"""``python -m bench [--quick] [--write] [NAME …]``: measure every figure, or those of the modules named.

Prints one table. The exit status is 1 when a figure misses its target. ``--write`` puts the rows into
docs/explanation/performance.md, beside those of other modules that were measured before.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import page
from bench.figure import Effort, Figure

MODULES = ("cli", "send", "waits", "monitor", "bus", "briefing", "projection", "sync", "idle", "tmux")


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    _raise_file_limit()
    found: list[tuple[str, Figure]] = []
    with _folder(options.folder) as folder:
        for name in options.names or MODULES:
            rows = [(name, figure) for figure in _measured(name, folder, quick=options.quick)]
            found += rows
            if options.write:  # at once: what was measured stays when a later module fails
                page.write(page.PAGE, rows, page.machine())
    print(page.plain(found, page.machine(), quick=options.quick))
    return int(any(figure.verdict == "missed" for _, figure in found))


def _measured(name: str, folder: Path, *, quick: bool) -> Iterator[Figure]:
    module = importlib.import_module(f"bench.{name}")
    _say(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
    effort = Effort(folder / name, quick=quick, say=lambda text: _say(f"  {text}"))
    effort.folder.mkdir()
    for figure in module.figures(effort):
        _say(f"  {figure.name}: {figure.measured_text} ({figure.target_text}) {figure.verdict}")
        yield figure


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}; all without")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small counts, nothing to rely on")
    parser.add_argument("--write", action="store_true", help="write the rows into the documentation")
    parser.add_argument("--folder", type=Path, help="work here, on the disk to be measured (default: TMPDIR)")
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.names) - set(MODULES)):
        parser.error(f"no figures are called {', '.join(unknown)}")
    if options.quick and options.write:
        parser.error("a quick run is not written down")
    return options


@contextlib.contextmanager
def _folder(where: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="thrum-bench-", dir=where) as name:
        yield Path(name)


def _raise_file_limit() -> None:
    """A thousand subscribers hold two thousand descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
