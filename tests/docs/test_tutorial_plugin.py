"""The steps of "Your first plugin in ten minutes", run one after the other as a reader does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import Cli, stop_daemon
from thrum_kernel.testing.spawner import Result, Spawner

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial" / "first-plugin.md").read_text()

PROMISED = (
    "Hello, Ada!",
    'identity guard "acme_desk" fired: reserved_name',
    "refused, as it should be",
    "Good morning, Ada!",
    "the front desk is open until six",
    "failed (imported)",
    "RuntimeError: closed today",
)
"""What the page says that the reader will see."""


def steps(page: str) -> list[str]:
    """The shell blocks of a page."""
    return re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(tmp_path: Path, isolated_home: dict[str, str], thrum_spawner: Spawner) -> Cli:
    """Somebody in an empty folder, with this Python's programs and git's name set."""
    home = Path(isolated_home["HOME"])
    (home / ".gitconfig").write_text("[user]\n\tname = Ada Person\n\temail = ada@example.org\n")
    folder = tmp_path / "work"
    folder.mkdir()
    programs = Path(sys.executable).parent
    env = {**isolated_home, "PATH": f"{programs}:{isolated_home['PATH']}", "PIP_NO_INDEX": "1"}
    return Cli(thrum_spawner, folder, env, ("/bin/bash",))


def test_the_steps_of_the_page_do_what_it_says(reader: Cli) -> None:
    blocks = steps(PAGE)
    script = "\n".join(["set -eu", *blocks])

    try:
        result: Result = reader.run("-c", script, timeout_s=300)
    finally:
        shop = reader.cwd / "shop"
        if shop.is_dir():
            stop_daemon(Cli(reader.spawner, shop, reader.env))

    told = result.out + result.err
    assert len(blocks) > 8
    assert result.status == 0, told
    for promise in PROMISED:
        assert promise in " ".join(PAGE.split()), promise
        assert promise in told, promise
    assert "acme_desk (thrum-acme-desk): gold" in result.out
