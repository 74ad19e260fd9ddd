"""config.json on a real disk."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from thrum_kernel.errors import FileDamaged, UsageError
from thrum_kernel.settings.document import Section, Setting, SettingsFile, overrides_of
from thrum_kernel.settings.sections import SectionModel
from thrum_kernel.testing.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def write(path: Path, value: Any) -> SettingsFile:
    path.write_text(json.dumps(value))
    return SettingsFile(path)


class Nudge(SectionModel):
    """A plugin's section."""

    chrome_quiet_seconds: int = 10
    targets: list[str] = Field(default_factory=list)
    table: dict[str, int] = Field(default_factory=dict)


def test_a_missing_file_holds_the_defaults(path: Path) -> None:
    settings = SettingsFile(path)

    assert settings.get("daemon.local_only") == Setting("daemon.local_only", True, "default")
    assert settings.get("daemon.sync_interval").value == 60
    assert settings.get("plugins.hook_timeout").value == 5
    assert settings.get("daemon.sync.mechanisms").value == [{"mechanism": "a-sync", "scope": "full"}]
    assert settings.daemon.body_limit == 1024 * 1024
    assert settings.worktrees.thrum_enabled
    assert settings.orchestration.default_autonomy == "end_only"
    assert settings.problems() == []
    assert not path.exists()


def test_a_value_comes_from_override_file_or_default(path: Path) -> None:
    path.write_text('{"daemon": {"local_only": false, "ws_port": 9999, "sync_interval": 5}}')
    overrides = overrides_of({"THRUM_WS_PORT": "8000", "THRUM_LOCAL": "1", "HOME": "/h"})

    settings = SettingsFile(path, overrides=overrides)

    assert settings.get("daemon.ws_port") == Setting("daemon.ws_port", "8000", "env THRUM_WS_PORT")
    assert settings.get("daemon.local_only") == Setting("daemon.local_only", True, "env THRUM_LOCAL")
    assert settings.get("daemon.sync_interval").source == "config.json"
    assert settings.get("daemon.log_level").source == "default"
    assert SettingsFile(path).get("daemon.ws_port").value == "9999"


def test_our_own_environment_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAEMON", '{"local_only": false}')
    monkeypatch.setenv("THRUM_LOCAL", "0")

    assert SettingsFile(path).daemon.local_only is True


@pytest.mark.parametrize(("limit", "bytes_"), [(0, 1048576), (-1, None), (10, 10)])
def test_the_body_limit(path: Path, limit: int, bytes_: int | None) -> None:
    assert write(path, {"daemon": {"max_message_body_bytes": limit}}).daemon.body_limit == bytes_


def test_an_edit_by_hand_holds_at_once(path: Path) -> None:
    settings = write(path, {"daemon": {"log_level": "info"}})
    assert settings.get("daemon.log_level").value == "info"
    first = settings.current()
    assert settings.current() is first

    path.write_text('{"daemon": {"log_level": "Warning"}}')
    assert settings.get("daemon.log_level").value == "warn"
    path.unlink()
    assert settings.get("daemon.log_level").source == "default"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"daemon": {"local_only": tr', "line 1, column 27"),
        ("", "is empty"),
        ("[]", "not an object"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_damaged_file_is_told_and_left_alone(path: Path, text: str, told: str) -> None:
    data = text.encode("latin-1")
    path.write_bytes(data)
    settings = SettingsFile(path)

    with pytest.raises(FileDamaged, match=told):
        settings.get("daemon.local_only")
    for change in (
        lambda: settings.set("daemon.local_only", False),
        lambda: settings.update("identity", {"daemon_id": "x"}),
        lambda: settings.unset("daemon.local_only"),
    ):
        with pytest.raises(FileDamaged):
            change()
    assert [finding.level for finding in settings.problems()] == ["error"]
    assert path.read_bytes() == data


def test_set_keeps_order_and_everything_else(path: Path) -> None:
    settings = write(path, {"zebra": [1], "daemon": {"Odd": None, "log_level": "info"}, "alpha": {"b": 1}})

    done = settings.set("daemon.log_level", "debug")
    settings.set("worktrees.base_path", "/w")

    assert done == Setting("daemon.log_level", "debug", "config.json")
    assert path.read_text() == (
        json.dumps(
            {
                "zebra": [1],
                "daemon": {"Odd": None, "log_level": "debug"},
                "alpha": {"b": 1},
                "worktrees": {"base_path": "/w"},
            },
            indent=2,
        )
        + "\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("key", "given", "stored"),
    [
        ("daemon.local_only", "false", False),
        ("daemon.local_only", "on", True),
        ("daemon.sync_interval", "30", 30),
        ("daemon.ws_port", 9999, "9999"),
        ("daemon.log_level", "WARNING", "warn"),
        ("plugins.hook_timeout", 2, 2.0),
        ("plugins.messaging_guards", ["a"], ["a"]),
        ("worktrees.base_path", 12, "12"),
        ("daemon.sync.public_exposure_override", "h/o/r", "h/o/r"),
    ],
)
def test_set_stores_what_the_key_holds(path: Path, key: str, given: Any, stored: Any) -> None:
    settings = SettingsFile(path)

    assert settings.set(key, given).value == stored

    value: Any = json.loads(path.read_text())
    for part in key.split("."):
        value = value[part]
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    ("key", "value", "told", "hint"),
    [
        ("daemon.log_lvl", "info", 'unknown setting "daemon.log_lvl"', "daemon.log_level"),
        ("deamon.local_only", True, "unknown setting", "daemon.local_only"),
        ("local_only", True, "unknown setting", "daemon.local_only"),
        ("nonsense", 1, "unknown setting", "config show"),
        ("daemon", {}, "is a section", "daemon.local_only"),
        ("daemon.log_level", "loud", 'invalid value for "daemon.log_level": .*debug', ""),
        ("daemon.sync_interval", 0, "greater than or equal to 1", ""),
        ("daemon.sync_interval", "soon", "not 'soon'", ""),
        ("daemon.ws_port", "99999", "auto or a port", ""),
        ("daemon.local_only", None, "boolean", ""),
        ("daemon.sync.mechanisms", [{"mechanism": "a-sync", "scope": "directed"}], "peer and email only", ""),
        ("identity.daemon_id", "d_x", "written by the daemon", ""),
    ],
)
def test_set_refuses_what_does_not_fit(path: Path, key: str, value: Any, told: str, hint: str) -> None:
    settings = write(path, {"daemon": {"log_level": "info"}})
    before = path.read_bytes()

    with pytest.raises(UsageError, match=told) as caught:
        settings.set(key, value)

    assert hint in caught.value.hint
    assert path.read_bytes() == before


def test_all_mistakes_are_told_at_once_with_their_keys(path: Path) -> None:
    settings = write(
        path,
        {
            "daemon": {
                "log_level": "loud",
                "ws_port": "x",
                "log_lvl": 1,
                "sync": {"mechanisms": [{"mechanism": "pigeon"}], "enabled": "maybe"},
            },
            "plugins": [],
            "telegram": {"token": "t"},
            "deamon": {},
        },
    )

    found = {finding.subject: (finding.level, finding.text) for finding in settings.problems()}

    assert set(found) == {
        "daemon.log_level",
        "daemon.log_lvl",
        "daemon.ws_port",
        "daemon.sync.mechanisms[0].mechanism",
        "daemon.sync.enabled",
        "plugins",
        "telegram",
        "deamon",
    }
    assert found["daemon.log_level"][0] == "error"
    assert "not 'loud'" in found["daemon.log_level"][1]
    assert found["telegram"] == ("warning", "unknown section: no installed plugin has it")


def test_unknown_keys_are_told_with_near_ones(path: Path) -> None:
    settings = write(path, {"daemon": {"log_lvl": 1}})

    assert [(f.subject, f.level, f.text) for f in settings.problems()] == [
        ("daemon.log_lvl", "warning", "unknown key; did you mean daemon.log_level?")
    ]


def test_a_mistake_stops_only_its_own_key(path: Path) -> None:
    settings = write(path, {"daemon": {"log_level": "loud", "sync_interval": 7}})

    assert settings.get("daemon.sync_interval") == Setting("daemon.sync_interval", 7, "config.json")
    with pytest.raises(FileDamaged, match=r"config\.json: daemon\.log_level: .*not 'loud'") as caught:
        settings.get("daemon.log_level")
    assert "thrum config set" in caught.value.hint
    with pytest.raises(FileDamaged):
        _ = settings.daemon
    assert settings.set("daemon.sync_interval", 8).value == 8
    assert settings.set("daemon.log_level", "error").value == "error"
    assert settings.daemon.sync_interval == 8


def test_sections_that_nobody_knows_are_kept_and_can_be_read(path: Path) -> None:
    settings = write(path, {"telegram": {"token": "t"}})

    assert settings.get("telegram.token") == Setting("telegram.token", "t", "config.json")
    with pytest.raises(UsageError):
        settings.get("telegram.chat_id")
    with pytest.raises(UsageError):
        settings.set("telegram.token", "u")


def test_a_plugin_adds_sections(path: Path) -> None:
    settings = write(path, {"nudge": {"chrome_quiet_seconds": 3}, "project_name": 5})
    settings.register_section(Section("nudge", Nudge, owner="tmux"))
    settings.register_section(Section("project_name", str, default="", owner="permissions"))
    settings.register_section(Section("role_config", dict[str, Any], default={}, owner="roles"))

    assert settings.get("nudge.chrome_quiet_seconds").value == 3
    assert settings.current().section("nudge", Nudge).targets == []
    settings.set("nudge.table.x", "4")
    assert settings.get("nudge.table").value == {"x": 4}
    assert [finding.subject for finding in settings.problems()] == ["project_name"]
    assert settings.set("project_name", "kitchen").value == "kitchen"
    assert settings.get("role_config").source == "default"
    with pytest.raises(UsageError, match="project_name holds one value"):
        settings.set("project_name.x", "y")

    settings.remove_section("nudge", owner="someone else")
    assert settings.get("nudge.chrome_quiet_seconds").value == 3
    settings.remove_section("nudge", owner="tmux")
    assert [finding.subject for finding in settings.problems()] == ["nudge"]


def test_a_section_has_one_owner_but_the_kernel_lends_some(path: Path) -> None:
    settings = SettingsFile(path)
    settings.register_section(Section("nudge", Nudge, owner="tmux"))

    with pytest.raises(UsageError, match='"nudge" of other is already claimed by tmux'):
        settings.register_section(Section("nudge", Nudge, owner="other"))
    with pytest.raises(UsageError, match="already claimed by kernel"):
        settings.register_section(Section("daemon", Nudge, owner="other"))
    settings.register_section(Section("worktrees", Nudge, owner="worktrees"))
    assert settings.get("worktrees.chrome_quiet_seconds").value == 10


def test_update_merges_a_section_and_writes_only_changes(path: Path) -> None:
    settings = write(path, {"worktrees": {"base_path": "/w", "mine": 1}})
    settings.update("worktrees", {"thrum_enabled": False})
    assert json.loads(path.read_text()) == {
        "worktrees": {"base_path": "/w", "mine": 1, "thrum_enabled": False}
    }
    inode = path.stat().st_ino

    settings.update("worktrees", {"thrum_enabled": False})

    assert path.stat().st_ino == inode
    with pytest.raises(UsageError, match=r"worktrees\.thrum_enabled"):
        settings.update("worktrees", {"thrum_enabled": "perhaps"})
    settings.update("telegram", {"token": "t"})
    assert settings.get("telegram.token").value == "t"


def test_unset_lets_the_default_hold_again(path: Path) -> None:
    settings = write(path, {"daemon": {"log_level": "debug"}})

    assert settings.unset("daemon.log_level")
    assert not settings.unset("daemon.log_level")
    assert settings.get("daemon.log_level") == Setting("daemon.log_level", "info", "default")


def test_concurrent_changes_lose_nothing(path: Path) -> None:
    def change(number: int) -> None:
        own = SettingsFile(path)
        for count in range(10):
            own.update(f"section{number}", {f"key{count}": count})

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    raw = json.loads(path.read_text())
    assert {name: len(values) for name, values in raw.items()} == {f"section{n}": 10 for n in range(4)}
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


def test_an_edit_by_hand_may_go_unnoticed_for_a_while_and_a_change_of_ours_never(path: Path) -> None:
    path.write_text('{"messaging": {"send_burst": 1}}')
    settings = SettingsFile(path, look_every_s=3600)
    assert settings.messaging.send_burst == 1

    path.write_text('{"messaging": {"send_burst": 22}}')
    settings.set("messaging.send_per_minute", 7)

    assert (settings.messaging.send_burst, settings.messaging.send_per_minute) == (22, 7)


def is_damaged(settings: SettingsFile) -> bool:
    try:
        settings.current()
    except FileDamaged:
        return True
    return False


def test_what_held_before_is_never_taken_for_a_file_that_is_damaged(path: Path) -> None:
    path.write_text('{"messaging": {"send_burst": 1}}')
    settings = SettingsFile(path, look_every_s=0.05)
    assert settings.messaging.send_burst == 1
    path.write_text("{")
    until(lambda: is_damaged(settings), what="a look at the file")

    for _ in range(3):
        with pytest.raises(FileDamaged):
            settings.current()
