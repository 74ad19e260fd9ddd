"""A team's own plugins run only where somebody named them and trusts exactly these bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_house import House, house_of_its_own

from thrum_kernel.errors import NotFound
from thrum_kernel.plugins import team
from thrum_kernel.plugins.record import LoadFailed
from thrum_kernel.testing.spawner import Spawner

MOOD = '''
import msgspec
from thrum_kernel.api import Method, PluginManifest, hookimpl

MANIFEST = PluginManifest(name="NAME", summary="How the team feels", api=1)

class No(msgspec.Struct):
    """Nothing."""

@hookimpl
def thrum_methods(ctx):
    return [Method("NAME.ask", No, str, lambda call, params: "MOOD", "Ask", anonymous=True)]
'''


def write(repo: Path, mood: str = "fine", *, name: str = "mood") -> Path:
    file = repo / team.FOLDER / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(MOOD.replace("MOOD", mood).replace("NAME", name))
    return file


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, kernel_alone: dict[str, str], thrum_spawner: Spawner
) -> Iterator[House]:
    """One for all tests; each has a plugin of its own name."""
    with house_of_its_own(tmp_path_factory.mktemp("house"), kernel_alone, thrum_spawner, {}) as made:
        yield made


@pytest.fixture(scope="module")
def strays(house: House) -> None:
    """Files that are none of the team's, and a link to one."""
    for stray in (house.repo.path / "stray.py", house.repo.path.parent / "stray.py"):
        stray.write_text("")
    (house.repo.path / team.FOLDER).mkdir(exist_ok=True)
    (house.repo.path / team.FOLDER / "link.py").symlink_to(house.repo.path / "stray.py")


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


@pytest.mark.parametrize("typed", ["../../stray", "../stray.py", "{repo}/stray", "link"])
def test_only_plain_files_of_the_folder_are_trusted(house: House, strays: None, typed: str) -> None:
    trusted = house.repo.path / ".git" / "thrum-sync" / team.TRUSTED
    before = trusted.exists() and trusted.read_bytes()

    told = house.cli.refused("plugin", "trust", typed.format(repo=house.repo.path))

    assert "is no plain file of .thrum-plugins" in told
    assert (trusted.exists() and trusted.read_bytes()) == before


def test_a_team_s_plugin_from_the_repository_to_an_answer_and_back(house: House) -> None:
    repo, thrum = house.repo.path, house.cli
    write(repo)
    assert "mood" not in thrum("plugin", "list")

    thrum("config", "set", "plugins.team", '["mood"]')
    listed = thrum.run("plugin", "enable", "mood")
    assert listed.status == 1 and "not trusted on this machine" in listed.out
    assert "these bytes are trusted" in thrum("plugin", "trust", "mood")
    thrum("plugin", "enable", "mood")
    assert house.call("mood.ask") == "fine"

    write(repo, "grim")
    house.restart()
    assert "not trusted" in thrum("plugin", "list")
    thrum("plugin", "trust", "mood")
    house.restart()
    assert house.call("mood.ask") == "grim"

    write(repo, "calm")
    thrum("plugin", "enable", "mood")
    assert house.call("mood.ask") == "grim", "nobody looked at the new bytes yet"
    thrum("plugin", "trust", "mood")
    assert "mood: active" in thrum("plugin", "enable", "mood")
    assert house.call("mood.ask") == "calm"


DESK = '''
from __future__ import annotations

import typer
from pydantic import BaseModel
from thrum_kernel.api import GuardedCall, PluginCommand, PluginContext, PluginManifest, Verdict, hookimpl
from thrum_kernel.api_commands import run_of


class Settings(BaseModel):
    """The section ``desk``; ``closed`` are names that nobody may take."""

    closed: list[str] = ["root"]


MANIFEST = PluginManifest(
    name="desk",
    summary="The front desk",
    api=1,
    settings="thrum_team_plugins.desk:Settings",
    commands=(
        PluginCommand(words=("desk", "inside"), target="thrum_team_plugins.desk:say", help="Say", in_daemon=True),
        PluginCommand(words=("desk", "outside"), target="thrum_team_plugins.desk:say", help="Say"),
    ),
)


def say(ctx: typer.Context) -> None:
    """Say something."""
    run_of(ctx).out.line("WORD")


@hookimpl
def thrum_guard_scope(ctx: PluginContext) -> list[str]:
    return ["agent.register"]


@hookimpl
async def thrum_guard(ctx: PluginContext, call: GuardedCall) -> Verdict | None:
    if call.params.get("name") not in ctx.settings.closed:
        return None
    return Verdict(outcome="deny", guard="desk", reason="closed_name")
'''


def test_the_whole_contract_of_a_team_s_plugin(house: House) -> None:
    file = house.repo.path / team.FOLDER / "desk.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(DESK.replace("WORD", "good morning"))
    graded = house.cli("plugin", "check", ".thrum-plugins/desk.py", "--require", "gold", timeout_s=300)
    assert graded.startswith("desk (.thrum-plugins/desk.py): gold\n")
    ada = house.cli

    ada("config", "set", "plugins.team", '["desk"]')
    ada("daemon", "restart")
    for words in (("desk", "inside"), ("desk", "outside")):
        assert "thrum plugin trust desk" in ada.refused(*words)

    ada("plugin", "trust", "desk")
    assert "active" in ada("plugin", "enable", "desk")
    assert ada("desk", "inside") == ada("desk", "outside") == "good morning\n"
    carol = ada.at(house.repo.worktree("carol").path)
    words = ("quickstart", "--role", "implementer", "--module", "auth", "--name")
    assert "closed_name" in carol.refused(*words, "root")

    file.write_text(DESK.replace("WORD", "good evening"))
    assert ada("desk", "inside") == "good morning\n", "what was trusted goes on until the next start"
    assert "thrum plugin trust desk" in ada.refused("desk", "outside"), "nothing untrusted is run to read it"
    ada("daemon", "restart")
    assert "not trusted" in ada("plugin", "list")
    ada("send", "messages go on", "--to", "@everyone")
    assert carol.run(*words, "root").status == 0, "the guard is not there"
    ada("plugin", "trust", "desk")
    ada("plugin", "enable", "desk")
    assert ada("desk", "inside") == ada("desk", "outside") == "good evening\n"


def test_trust_is_of_one_machine_and_not_carried_by_git(house: House) -> None:
    write(house.repo.path, name="weather")
    house.cli("plugin", "trust", "weather")
    house.repo.git("add", team.FOLDER)

    clean = house.repo.git("status", "--porcelain", "--", ".thrum", ".git")

    assert clean == "", "the list of what is trusted lies where git takes nothing from"
    assert "not" not in house.cli("plugin", "trust", "weather")
    assert house.cli.refused("plugin", "trust", "absent").startswith("Error: ")
