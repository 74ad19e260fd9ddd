"""A team's own plugins run only where somebody named them and trusts exactly these bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from thrum_kernel.errors import NotFound
from thrum_kernel.plugins import team
from thrum_kernel.plugins.record import LoadFailed
from thrum_kernel.testing.harness import Cli, Repo, request

MOOD = '''
import msgspec
from thrum_kernel.api import Method, PluginManifest, hookimpl

MANIFEST = PluginManifest(name="mood", summary="How the team feels", api=1)

class No(msgspec.Struct):
    """Nothing."""

@hookimpl
def thrum_methods(ctx):
    return [Method("mood.ask", No, str, lambda call, params: "MOOD", "Ask", anonymous=True)]
'''


def write(repo: Path, mood: str = "fine") -> Path:
    file = repo / team.FOLDER / "mood.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(MOOD.replace("MOOD", mood))
    return file


def test_only_trusted_bytes_are_run(tmp_path: Path) -> None:
    file = write(tmp_path)
    trust = team.Trust(tmp_path / "T")
    (source,) = team.sources(tmp_path, trust, ["mood"])

    with pytest.raises(LoadFailed, match="thrum plugin trust mood"):
        source.read()
    trust.grant(file)
    assert source.read().name == "mood"
    file.write_text(file.read_text() + "\n# changed")
    with pytest.raises(LoadFailed, match="not trusted"):
        source.read()


def test_a_link_is_no_file_of_the_repository_and_a_missing_one_is_told(tmp_path: Path) -> None:
    (tmp_path / team.FOLDER).mkdir()
    (tmp_path / team.FOLDER / "link.py").symlink_to("/etc/hostname")
    trust = team.Trust(tmp_path / "T")

    for name, told in (("link", "no plain file"), ("gone", "cannot be read"), ("../../x", "no plain file")):
        (source,) = team.sources(tmp_path, trust, [name])
        with pytest.raises(LoadFailed, match=told):
            source.read()
    with pytest.raises(NotFound):
        trust.grant(tmp_path / team.FOLDER / "gone.py")


def test_a_team_s_plugin_from_the_repository_to_an_answer_and_back(daemon: Cli, repo: Repo) -> None:
    socket = repo.path / ".thrum" / "var" / "thrum.sock"
    write(repo.path)
    assert "mood" not in daemon("plugin", "list")

    daemon("quickstart", "ada", "--role", "implementer", "--module", "auth")
    daemon("config", "set", "plugins.team", '["mood"]')
    listed = daemon("plugin", "enable", "mood")
    assert "not trusted on this machine" in listed
    assert "these bytes are trusted" in daemon("plugin", "trust", "mood")
    daemon("plugin", "enable", "mood")
    assert request(socket, "mood.ask") == "fine"

    write(repo.path, "grim")
    daemon("daemon", "restart")
    assert "not trusted" in daemon("plugin", "list")
    daemon("plugin", "trust", "mood")
    daemon("daemon", "restart")
    assert request(socket, "mood.ask") == "grim"
