"""The preset, beside those of thrum-runtimes where that is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from thrum_acme_runtime import ACME

from thrum_kernel.testing.harness import Cli
from thrum_kernel.testing.kernel import Kernel


def test_it_writes_below_its_own_folder_only() -> None:
    assert all(file.path.startswith(ACME.markers[0]) for file in ACME.files)


def test_the_kernel_has_it_and_works(kernel: Kernel) -> None:
    listed = {plugin["name"]: plugin for plugin in kernel.call("plugin.list")["plugins"]}

    assert listed["acme_runtime"]["state"] == "active"


@pytest.mark.skipif(find_spec("thrum_runtimes") is None, reason="thrum-runtimes shows it")
def test_it_is_listed_beside_the_built_in_ones_and_init_writes_its_files(cli: Cli) -> None:
    without_daemon = cli.json("runtime", "list")
    cli("init", "--non-interactive", "--runtime", "acme")
    with_daemon = cli.json("runtime", "list")

    for listed in (without_daemon, with_daemon):
        names = [preset["name"] for preset in listed["presets"]]
        assert "acme" in names and "claude" in names
    assert "Acme Coder" in cli("runtime", "list")
    assert "ACME.md" in cli("runtime", "show", "acme")
    script = cli.cwd / ".acme" / "start.sh"
    assert script.stat().st_mode & 0o111
    assert "thrum prime" in script.read_text()
