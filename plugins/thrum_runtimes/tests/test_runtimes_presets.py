"""The runtimes as data, those of a person, and what is made of both."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from thrum_runtimes.kit_plan import Place
from thrum_runtimes.presets import BUILT_IN, LOOKED_FOR
from thrum_runtimes.registry import Runtimes, files_of, view
from thrum_runtimes.user_file import UserFile

from thrum_kernel.api import KitFile, RuntimePreset
from thrum_kernel.errors import FileDamaged, NotFound, UsageError

NAMES = ["claude", "codex", "opencode", "cursor", "gemini", "auggie", "kiro-cli", "amp", "shell", "cli-only"]


def written(home: Path, value: object) -> UserFile:
    file = UserFile(home)
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def test_the_ten_are_there_in_order() -> None:
    assert [preset.name for preset in BUILT_IN] == NAMES
    assert set(LOOKED_FOR) < set(NAMES)


def test_process_names_are_those_of_one_preset_and_of_no_shell() -> None:
    processes = [(name, preset.name) for preset in BUILT_IN for name in preset.processes]
    by_process = dict(processes)
    assert len(by_process) == len(processes)
    assert by_process["kiro-cli"] == "kiro-cli"
    assert by_process[".opencode"] == "opencode"
    assert by_process["cursor-agent"] == by_process["agent"] == "cursor"
    assert not {"bash", "sh", "zsh"} & set(by_process)


@pytest.mark.parametrize("preset", BUILT_IN, ids=NAMES)
def test_every_runtime_has_a_kit_with_the_start_up_script_inside_the_worktree(preset: RuntimePreset) -> None:
    place = Place(Path("/w"), Path("/h"))
    paths = [place.of(file.path) for file in files_of(preset)]
    assert Path("/w/scripts/thrum-startup.sh") in paths
    assert len(set(paths)) == len(paths)


def test_json_of_a_runtime_has_the_keys_of_the_reference() -> None:
    import msgspec

    claude = msgspec.to_builtins(view(BUILT_IN[0]))
    assert claude == {
        "name": "claude",
        "display_name": "Claude Code",
        "command": "claude",
        "mcp_supported": True,
        "hooks_supported": True,
        "instructions_file": "CLAUDE.md",
        "mcp_config_path": ".claude/settings.json",
        "setup_notes": claude["setup_notes"],
        "has_session_start_hook": True,
    }
    assert "has_session_start_hook" not in msgspec.to_builtins(view(BUILT_IN[-1]))


def test_a_person_changes_a_runtime_and_adds_one(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {
            "default_runtime": "mine",
            "custom_runtimes": {
                "claude": {"command": "claude --model opus"},
                "mine": {"command": "mine --chat", "instructions_file": "MINE.md", "mcp_supported": True},
            },
        },
    )
    runtimes = Runtimes(BUILT_IN, file.read())
    assert runtimes.get("claude").command == "claude --model opus"
    assert runtimes.get("claude").display_name == "Claude Code"
    assert runtimes.origin("claude") == runtimes.origin("mine") == "custom"
    assert runtimes.names == (*NAMES, "mine")
    assert [file.path for file in files_of(runtimes.get("mine"))] == ["scripts/thrum-startup.sh", "MINE.md"]
    assert runtimes.default == "mine"


@pytest.mark.parametrize("instructions", ["~/x.md", "/etc/x.md", "../x.md", ""])
def test_instructions_outside_the_worktree_are_not_written(tmp_path: Path, instructions: str) -> None:
    given = {"command": "m", "instructions_file": instructions}
    runtimes = Runtimes(BUILT_IN, written(tmp_path, {"custom_runtimes": {"mine": given}}).read())
    assert [file.path for file in files_of(runtimes.get("mine"))] == ["scripts/thrum-startup.sh"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "line 1, column 2"),
        ("[]", "not hold a JSON object"),
        ('{"default_runtime": 3}', "default_runtime"),
        (
            '{"custom_runtimes": {"x": {"comand": "x"}}}',
            "custom_runtimes.x: Object contains unknown field `comand`",
        ),
        ('{"custom_runtimes": {"x": "y"}}', "custom_runtimes.x: Expected `object`"),
        ('{"custom_runtimes": ["x"]}', "custom_runtimes"),
        ('{"custom_runtimes": {"x": {"command": 1}}}', "command"),
        ('{"custom_runtimes": {"a b": {"command": "x"}}}', 'invalid runtime name "a b"'),
        ('{"custom_runtimes": {"all": {"command": "x"}}}', "all"),
        ('{"custom_runtimes": {"x": {"name": "y", "command": "x"}}}', "its name says"),
    ],
)
def test_a_malformed_file_is_a_clear_error(tmp_path: Path, content: str, said: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(FileDamaged, match=r"runtimes\.json") as raised:
        file.read()
    assert said in str(raised.value)
    with pytest.raises(FileDamaged):
        file.set_default("claude")
    assert file.path.read_text() == content


def test_a_new_runtime_without_a_command_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, {"custom_runtimes": {"mine": {"display_name": "Mine"}}})
    with pytest.raises(FileDamaged, match="command is missing"):
        Runtimes(BUILT_IN, file.read())


def test_the_default_is_kept_beside_everything_else_and_private(tmp_path: Path) -> None:
    file = written(tmp_path, {"custom_runtimes": {"mine": {"command": "m"}}, "later": [1]})
    file.path.chmod(0o644)
    file.set_default("codex")
    assert json.loads(file.path.read_text()) == {
        "custom_runtimes": {"mine": {"command": "m"}},
        "later": [1],
        "default_runtime": "codex",
    }
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["runtimes.json"]


def test_names_are_checked_before_they_are_looked_up(tmp_path: Path) -> None:
    runtimes = Runtimes(BUILT_IN, UserFile(tmp_path).read())
    with pytest.raises(UsageError, match='invalid runtime name "a;b"'):
        runtimes.get("a;b")
    with pytest.raises(NotFound, match='unknown runtime "claud"') as raised:
        runtimes.get("claud")
    assert "claude" in raised.value.hint
    assert [preset.name for preset in runtimes.chosen("all")] == NAMES


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", ".git/hooks/x", "~/../x"])
def test_a_kit_that_leaves_its_place_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="outside the worktree"):
        Place(Path("/w"), Path("/h")).of(KitFile(path=path, content="").path)
