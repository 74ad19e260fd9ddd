"""Installed plugins in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrum_kernel.testing.site import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder of installed plugins, on this process's path and, by ``PYTHONPATH``, on that of its children."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    made = Site(folder)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] in made.installed]:
        del sys.modules[name]
