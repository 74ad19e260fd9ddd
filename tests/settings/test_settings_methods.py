"""config.show and config.set as people see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from thrum_kernel.errors import FileDamaged, UsageError
from thrum_kernel.settings.document import SettingsFile, overrides_of
from thrum_kernel.settings.methods import ConfigMethods, SetParams, ShowParams, Surroundings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def methods(path: Path, env: dict[str, str] | None = None, **around: Any) -> ConfigMethods:
    settings = SettingsFile(path, overrides=overrides_of(env or {}))
    return ConfigMethods(settings=settings, surroundings=lambda: Surroundings(**around))


def test_show_has_the_documented_keys(path: Path) -> None:
    path.write_text(
        json.dumps({"daemon": {"local_only": False}, "identity": {"daemon_id": "d_X", "repo_name": "p"}})
    )
    room = methods(path, status="running", pid=7, socket="/s", ws_port=4711, detected_runtime="codex")

    shown = room.show(None, ShowParams(env={"THRUM_NAME": "ada", "THRUM_TOKEN": "t" * 40, "HOME": "/h"}))

    assert shown["config_file"] == str(path)
    assert shown["runtime"] == {"primary": "codex", "source": "auto-detected", "detected": "codex"}
    assert shown["daemon"]["local_only"] == {"value": False, "source": "config.json"}
    assert shown["daemon"]["ws_port"] == {"value": "auto", "source": "default", "actual": 4711}
    assert shown["daemon"]["sync"]["enabled"] == {"value": True, "source": "default"}
    assert (shown["daemon"]["status"], shown["daemon"]["pid"], shown["daemon"]["socket"]) == (
        "running",
        7,
        "/s",
    )
    assert shown["identity"] == {"daemon_id": "d_X", "repo_name": "p"}
    assert shown["worktrees"]["thrum_enabled"] == {"value": True, "source": "default"}
    assert shown["overrides"] == [
        {"env_var": "THRUM_NAME", "value": "ada"},
        {"env_var": "THRUM_TOKEN", "value": "tttttttttt..."},
    ]
    assert "problems" not in shown
    json.dumps(shown)


def test_show_names_a_configured_runtime_and_an_override(path: Path) -> None:
    path.write_text('{"runtime": {"primary": "claude"}, "daemon": {"local_only": false}}')

    shown = methods(path, {"THRUM_LOCAL": "true"}, detected_runtime="codex").show(None, ShowParams())

    assert shown["runtime"] == {"primary": "claude", "source": "config.json", "detected": "codex"}
    assert shown["daemon"]["local_only"] == {"value": True, "source": "env THRUM_LOCAL"}


def test_show_works_with_mistakes_and_names_them(path: Path) -> None:
    path.write_text(
        '{"daemon": {"log_level": "loud"}, "telegram": {"token": "1234567890123456789012", "x": ["y"]}}'
    )

    shown = methods(path).show(None, ShowParams())

    assert shown["daemon"]["log_level"]["value"] == "loud"
    assert "problem" in shown["daemon"]["log_level"]
    assert shown["daemon"]["sync_interval"] == {"value": 60, "source": "default"}
    assert shown["telegram"]["value"] == {"token": "1234567890...", "x": ["y"]}
    assert [entry["key"] for entry in shown["problems"]] == ["daemon.log_level", "telegram"]


def test_set_tells_before_after_and_whether_to_restart(path: Path) -> None:
    room = methods(path)

    first = room.set(None, SetParams(key="daemon.ws_port", value=9999))
    second = room.set(None, SetParams(key="daemon.log_level", value="debug"))

    assert msgspec.to_builtins(first) == {
        "key": "daemon.ws_port",
        "value": "9999",
        "source": "config.json",
        "previous": "auto",
        "restart": True,
    }
    assert (second.previous, second.restart) == ("info", False)


def test_set_mends_a_mistaken_value(path: Path) -> None:
    path.write_text('{"daemon": {"log_level": "loud"}}')

    done = methods(path).set(None, SetParams(key="daemon.log_level", value="warn"))

    assert (done.previous, done.value) == ("loud", "warn")


def test_set_says_what_is_wrong_with_the_key_first(path: Path) -> None:
    path.write_text('{"daemon": ')
    room = methods(path)

    with pytest.raises(UsageError, match="invalid key"):
        room.set(None, SetParams(key="daemon.", value=1))
    with pytest.raises(UsageError, match="unknown setting"):
        room.set(None, SetParams(key="x.y", value=1))
    with pytest.raises(FileDamaged):
        room.set(None, SetParams(key="daemon.log_level", value="info"))
    assert path.read_text() == '{"daemon": '


def test_both_methods_are_declared(path: Path) -> None:
    declared = {method.name: method for method in methods(path).methods()}

    assert set(declared) == {"config.show", "config.set"}
    assert declared["config.set"].mutates
    assert declared["config.set"].transports == {"unix", "internal"}
    assert declared["config.show"].anonymous
