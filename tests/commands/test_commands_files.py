"""Commands about files: configuration, instructions for an agent, saved context, the log of events."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from command_run import run

from thrum_kernel.cli.commands.claude_md import BEGIN, END, block
from thrum_kernel.cli.texts.settings import config_lines
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.settings.methods import ConfigMethods, ShowParams, Surroundings

# --- config ----------------------------------------------------------------------------------------------------------

SHOWN: dict[str, Any] = {
    "config_file": "/p/.thrum/config.json",
    "runtime": {"primary": "claude", "source": "auto-detected", "detected": "claude"},
    "daemon": {
        "local_only": {"value": True, "source": "config.json"},
        "ws_port": {"value": "auto", "source": "default", "actual": 9999},
        "sync": {"enabled": {"value": True, "source": "default"}},
        "status": "running",
        "pid": 42,
    },
    "identity": {"daemon_id": "d_1", "repo_name": "p"},
    "permission_supervisors": {"value": ["coordinator"], "source": "config.json"},
    "overrides": [{"env_var": "THRUM_ROLE", "value": "tester"}],
    "problems": [{"key": "daemon.log_level", "level": "error", "text": "must be one of …"}],
}


def test_config_show_has_the_lines_that_scripts_look_for() -> None:
    assert config_lines(SHOWN) == [
        "Thrum Configuration",
        "",
        "File: /p/.thrum/config.json",
        "",
        "Runtime",
        "  Primary:     claude (auto-detected)",
        "  Detected:    claude",
        "",
        "Daemon",
        "  daemon.local_only:   true (config.json)",
        "  daemon.ws_port:      auto (default), now 9999",
        "  daemon.sync.enabled: true (default)",
        "  Status:              running",
        "  PID:                 42",
        "",
        "Identity",
        "  Daemon id:   d_1",
        "  Repo name:   p",
        "",
        "Permission supervisors",
        "  permission_supervisors: coordinator (config.json)",
        "",
        "Overrides",
        "  THRUM_ROLE:  tester",
        "",
        "Problems",
        "  error: daemon.log_level: must be one of …",
    ]


def test_every_key_that_is_shown_is_one_that_can_be_set(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path / "config.json")
    room = ConfigMethods(settings=settings, surroundings=Surroundings)
    lines = config_lines(room.show(None, ShowParams()))
    keys = [key for line in lines[3:] if "." in (key := line.strip().partition(":")[0])]
    assert {"daemon.log_level", "daemon.sync.enabled", "plugins.hook_timeout"} <= set(keys)
    for key in keys:
        settings.sections.check_key(key)


def test_config_show_without_a_runtime() -> None:
    assert "  Primary:     none (default)" in config_lines({"config_file": "f", "runtime": {"primary": ""}})


def test_config_show_sends_the_overrides_of_the_caller() -> None:
    ran = run("config", "show", "--json", env={"THRUM_ROLE": "tester"}, answers={"config.show": SHOWN})
    assert ran.params("config.show") == {"env": {"THRUM_ROLE": "tester"}}
    assert ran.json == SHOWN


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("true", True),
        ("5", 5),
        ("-1", -1),
        ("-2.5", -2.5),
        ("debug", "debug"),
        ('["a"]', ["a"]),
        ("/w/x y", "/w/x y"),
        ("null", "null"),
        ("", ""),
    ],
)
def test_config_set_takes_json_or_text(typed: str, value: Any) -> None:
    done = {"key": "a.b", "value": value, "source": "config.json"}
    assert run("config", "set", "a.b", typed, answers={"config.set": done}).params("config.set") == {
        "key": "a.b",
        "value": value,
    }


def test_config_set_says_when_a_restart_is_needed() -> None:
    done = {"key": "daemon.ws_port", "value": "1", "source": "config.json", "restart": True}
    ran = run("config", "set", "daemon.ws_port", "1", answers={"config.set": done})
    assert ran.out == "✓ daemon.ws_port = 1\n  Takes effect after: thrum daemon restart\n"


@pytest.mark.parametrize(
    ("word", "value", "said"),
    [
        ("on", True, "enabled"),
        ("true", True, "enabled"),
        ("1", True, "enabled"),
        ("off", False, "disabled (multi-agent)"),
        ("0", False, "disabled (multi-agent)"),
    ],
)
def test_single_agent_mode_switches(word: str, value: bool, said: str) -> None:
    ran = run("single-agent-mode", word, answers={"config.set": {"value": value}})
    assert [params for name, params in ran.calls if name == "config.set"] == [
        {"key": "daemon.single_agent_mode", "value": value},
        {"key": "daemon.single_agent_mode_by_hand", "value": value},
    ]
    assert ran.out == f"single-agent mode: {said}\n"


def test_single_agent_mode_tells_and_refuses_other_words() -> None:
    shown = {"daemon": {"single_agent_mode": {"value": True, "source": "config.json"}}}
    assert run("single-agent-mode", answers={"config.show": shown}).out == "single-agent mode: enabled\n"
    assert run("single-agent-mode", "maybe").status == 1


# --- setup claude-md -------------------------------------------------------------------------------------------------


def claude_md(folder: Path, *words: str) -> Any:
    return run("setup", "claude-md", *words, cwd=folder)


def test_claude_md_bare_prints_the_block(tmp_path: Path) -> None:
    assert claude_md(tmp_path).out == block()
    assert 25 <= len(block().splitlines()) <= 45
    assert list(tmp_path.iterdir()) == []


def test_claude_md_creates_the_file(tmp_path: Path) -> None:
    assert claude_md(tmp_path, "--apply").status == 0
    target = tmp_path / "CLAUDE.md"
    assert (target.read_text(), target.stat().st_mode & 0o777) == (block(), 0o600)


@pytest.mark.parametrize("text", ["# Mine\n", "# Mine"])
def test_claude_md_appends_after_a_blank_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "CLAUDE.md").write_text(text)
    claude_md(tmp_path, "--apply")
    assert (tmp_path / "CLAUDE.md").read_text() == "# Mine\n\n" + block()


def test_claude_md_refuses_a_second_block(tmp_path: Path) -> None:
    claude_md(tmp_path, "--apply")
    ran = claude_md(tmp_path, "--apply")
    assert (ran.status, ran.out) == (1, "")
    assert "--force" in ran.err
    assert (tmp_path / "CLAUDE.md").read_text() == block()


def test_claude_md_with_force_replaces_in_place_and_again_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "CLAUDE.md"
    target.write_text(f"above\r\n{BEGIN}\nold\n{END}\nbelow")
    target.chmod(0o640)
    assert claude_md(tmp_path, "--apply", "--force").status == 0
    wanted = "above\r\n" + block() + "below"
    assert target.read_bytes().decode() == wanted
    assert target.stat().st_mode & 0o777 == 0o640
    assert claude_md(tmp_path, "--apply", "--force").out.endswith("unchanged\n")
    assert target.read_bytes().decode() == wanted


@pytest.mark.parametrize("text", [f"{BEGIN}\nhalf", f"{END}\n{BEGIN}", f"only {END}"])
def test_claude_md_leaves_a_file_with_one_marker_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "CLAUDE.md").write_text(text)
    ran = claude_md(tmp_path, "--apply", "--force")
    assert ran.status == 1
    assert "only one of the markers" in ran.err
    assert (tmp_path / "CLAUDE.md").read_text() == text


# --- context ---------------------------------------------------------------------------------------------------------


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CONTEXT = {
    "agent_name": "alice",
    "preamble": encoded("# Head\n"),
    "content": encoded("notes\n"),
    "has_context": True,
    "has_preamble": True,
}


def test_context_save_from_stdin_and_file() -> None:
    done = {"agent_name": "alice", "message": ""}
    ran = run("context", "save", stdin=b"notes\n", answers={"context.save": done})
    assert ran.params("context.save") == {"agent_name": "alice", "content": encoded("notes\n")}
    assert ran.out == "✓ Context saved for alice (6 bytes)\n"
    ran = run(
        "context", "save", "--file", "n", "--agent", "@bob", files={"n": b"x"}, answers={"context.save": done}
    )
    assert ran.params("context.save") == {"agent_name": "bob", "content": encoded("x")}


def test_context_save_of_what_is_no_text_is_refused() -> None:
    ran = run("context", "save", "--file", "n", files={"n": b"ok\xff"})
    assert (ran.status, ran.calls) == (1, [])
    assert ran.err == ("Error: the context is not valid UTF-8 (byte 2)\nHint: save it as UTF-8 text\n")


def test_context_save_of_nothing_is_refused() -> None:
    ran = run("context", "save", stdin=b" \n")
    assert (ran.status, ran.calls) == (1, [])


@pytest.mark.parametrize("word", ["show", "load"])
def test_context_show_puts_the_preamble_first(word: str) -> None:
    ran = run("context", word, answers={"context.show": CONTEXT})
    assert ran.params("context.show") == {
        "agent_name": "alice",
        "include_preamble": True,
        "include_project": False,
    }
    assert ran.out == "# Head\n\n---\n\nnotes\n"


def test_context_show_json_has_texts() -> None:
    shown = run("context", "show", "--json", answers={"context.show": CONTEXT}).json
    assert (shown["content"], shown["preamble"]) == ("notes\n", "# Head\n")


def test_context_show_raw_gives_the_bytes_as_they_are() -> None:
    ran = run(
        "context", "show", "--raw", answers={"context.show": {**CONTEXT, "content": encoded("a\x1b\n\n")}}
    )
    assert ran.out == "a\x1b\n\n"


def test_context_show_of_the_project() -> None:
    answer = {**CONTEXT, "project_state": encoded("# State\n")}
    ran = run("context", "show", "--project", answers={"context.show": {**answer, "preamble": ""}})
    assert ran.params("context.show")["include_project"] is True
    assert ran.out == "# State\n"


def test_context_preamble_shows_and_writes() -> None:
    found = {"agent_name": "alice", "content": encoded("# Head\n"), "has_preamble": True}
    assert run("context", "preamble", answers={"context.preamble.show": found}).out == "# Head\n"
    done = {"agent_name": "alice", "message": ""}
    ran = run("context", "preamble", "--init", answers={"context.preamble.save": done})
    assert ran.params("context.preamble.save") == {"agent_name": "alice"}
    ran = run(
        "context", "preamble", "--file", "p", files={"p": b"x"}, answers={"context.preamble.save": done}
    )
    assert ran.params("context.preamble.save") == {"agent_name": "alice", "content": encoded("x")}


def test_context_sync_says_what_the_method_says() -> None:
    done = {"agent_name": "alice", "message": "Context synced locally for alice (no remote configured)."}
    assert run("context", "sync", answers={"context.sync": done}).out == done["message"] + "\n"


# --- sync ------------------------------------------------------------------------------------------------------------


def test_sync_status_says_its_mode() -> None:
    local = {"running": True, "last_sync_at": "", "sync_state": "local-only", "local_only": True}
    assert run("sync", "status", answers={"sync.status": local}).out.splitlines()[0] == "Mode: local-only"
    assert run("sync", "status", answers={"sync.status": {**local, "local_only": False}}).out.startswith(
        "Mode: normal\n"
    )
    assert run("sync", "status", "--json", answers={"sync.status": local}).json == local


def test_sync_force_without_a_remote_is_honest() -> None:
    done = {"triggered": False, "last_sync_at": "", "sync_state": "local-only", "local_only": True}
    assert run("sync", "force", answers={"sync.force": done}).out.splitlines()[0] == "Nothing to sync with"


def test_sync_force_says_when_it_goes_on() -> None:
    done = {"triggered": True, "going_on": True, "sync_state": "idle", "local_only": False, "published": 2}
    told = run("sync", "force", answers={"sync.force": done})
    assert told.status == 0 and "✓" not in told.out
    assert told.out.splitlines()[0] == (
        "Sync goes on, for the remote takes long (2 events published on this machine);"
        " how it ends: thrum sync status"
    )


def _usage(size: int, commits: int) -> dict[str, Any]:
    part = {"bytes": size, "files": 2}
    return {"bytes": 3 * size, "files": 6, "commits": commits, "budget_bytes": 0} | dict.fromkeys(
        ("journal", "published", "repository"), part
    )


def test_sync_status_tells_sizes_lag_and_warnings() -> None:
    status = {
        "running": True,
        "last_sync_at": "",
        "sync_state": "synced",
        "local_only": False,
        "usage": _usage(1000, 7),
        "retention_days": 30,
        "held_back": ["2 event(s) are in quarantine: thrum log verify"],
        "warnings": ["it grows"],
        "daemons": [
            {
                "daemon_id": "d_1",
                "name": "thisone",
                "newest": "2026-06-23T07:21:58.000000Z",
                "is_local": True,
            },
            {"daemon_id": "d_2", "name": "there", "newest": "2026-06-23T07:21:58.000000Z"},
        ],
    }
    told = run("sync", "status", answers={"sync.status": status}).out
    for text in ("3000 B", "7 commits", "messages stay 30 days", "in quarantine", "it grows", "there"):
        assert text in told
    assert "thisone" not in told


@pytest.mark.parametrize("dry_run", [False, True])
def test_sync_gc_tells_before_and_after(dry_run: bool) -> None:
    before, after = _usage(2000, 9), _usage(2000 if dry_run else 1000, 9 if dry_run else 1)
    done = {
        "dry_run": dry_run,
        "published": 0,
        "rolled_up": 4,
        "rerooted": not dry_run,
        "local_only": False,
        "before": before,
        "after": after,
    }
    words = ("sync", "gc", "--dry-run") if dry_run else ("sync", "gc")
    lines = run(*words, answers={"sync.gc": done}).out.splitlines()
    if dry_run:
        assert lines[0] == (
            "Nothing was changed; 4 publishes would become part of larger files,"
            " and the history of 9 commits would begin anew"
        )
    else:
        assert lines[0] == "✓ 3000 B saved, 4 publishes rolled up, the history began anew"
    assert lines[-1].split() == (["commits", "9"] if dry_run else ["commits", "9", "1"])
    assert run(*words, "--json", answers={"sync.gc": done}).json == done


def test_sync_gc_says_when_there_is_no_remote_part() -> None:
    done = {"dry_run": False, "rerooted": False, "local_only": True, "reason": "the repository has no remote"}
    done |= {"before": _usage(1, 0), "after": _usage(1, 0)}
    told = run("sync", "gc", answers={"sync.gc": done}).out.splitlines()
    assert told[0] == "✓ nothing to save" and told[-1] == "No remote part: the repository has no remote"


# --- the log ---------------------------------------------------------------------------------------------------------

VERIFIED = {"ok": True, "problems": [], "files": 3, "events": 12, "quarantined": 0}
EVENT = {
    "writer": "w1",
    "daemon": "d_1",
    "sequence": 4,
    "event": {
        "type": "message.create",
        "event_id": "evt_1",
        "timestamp": "2020-06-23T11:00:00.000000Z",
        "agent_id": "alice",
        "body": {"content": "Hello\nmore"},
    },
}


def test_log_verify_of_a_sound_log() -> None:
    ran = run("log", "verify", answers={"log.verify": VERIFIED})
    assert (ran.status, ran.out) == (0, "✓ The log is sound\n  Files:  3\n  Events: 12\n")


def test_log_verify_names_every_problem_and_ends_with_1() -> None:
    problems = [{"kind": "hash", "path": "messages/x.jsonl", "problem": "bytes differ"}]
    answer = {**VERIFIED, "ok": False, "problems": problems}
    ran = run("log", "verify", answers={"log.verify": answer})
    assert ran.status == 1
    assert ran.out.splitlines()[-1] == "  hash  messages/x.jsonl: bytes differ"
    ran = run("log", "verify", "--json", answers={"log.verify": answer})
    assert (ran.status, ran.json) == (1, answer)


def test_log_show_passes_filters_on_and_shows_the_beginning_of_each() -> None:
    found = {"events": [EVENT], "total": 7}
    ran = run(
        *("log", "show", "--type", "message.create", "--agent", "@alice", "--writer", "w1", "-n", "1"),
        *("--since", "2020-01-01", "--until", "2021-01-01", "--message", "msg_1"),
        answers={"log.show": found},
    )
    assert ran.params("log.show") == {
        "type": "message.create",
        "agent": "alice",
        "writer": "w1",
        "message_id": "msg_1",
        "since": "2020-01-01T00:00:00.000000Z",
        "until": "2021-01-01T00:00:00.000000Z",
        "limit": 1,
    }
    assert ran.out.splitlines()[0].endswith("message.create  @alice  Hello …")
    assert ran.out.splitlines()[1] == "The newest 1 of 7."


def test_log_show_verbose_has_the_whole_event() -> None:
    ran = run("log", "show", "--verbose", answers={"log.show": {"events": [EVENT], "total": 1}})
    assert "w1:4" in ran.out
    assert '"agent_id": "alice"' in ran.out


def test_log_replay_shows_team_and_messages_of_then() -> None:
    then = "2020-06-23T11:00:00.000000Z"
    agent = {"agent_id": "bob", "home_daemon": "d_1", "role": "dev", "module": "ui", "sent": 1, "unread": 2}
    message = {
        "message_id": "msg_1",
        "agent_id": "bob",
        "created_at": then,
        "content": "Hi",
        "unread_by": ["alice"],
    }
    answer = {
        "to": "evt_01KA0000000000000000000001",
        "at": then,
        "last_event": "evt_01KA0000000000000000000001",
        "log_events": 9,
        "agents": 1,
        "open_sessions": 0,
        "messages": 1,
        "unread": 1,
        "team": [agent],
        "recent": [message],
    }
    ran = run(
        "log",
        "replay",
        "--to",
        "evt_01KA0000000000000000000001",
        "--agent",
        "@bob",
        answers={"log.replay": answer},
    )
    assert ran.params("log.replay") == {"to": "evt_01KA0000000000000000000001", "agent": "bob", "limit": 20}
    assert "  @bob  dev/ui  1 sent, 2 unread  no session" in ran.out
    assert ran.out.rstrip().endswith("Hi  (unread by @alice)")


def test_help_of_a_word_that_does_something_by_itself_shows_that_too() -> None:
    ran = run("setup", "--help")
    assert "Usage: thrum setup [OPTIONS] [WORKTREE_PATH]\n" in ran.out
    assert "claude-md  Print the block for CLAUDE.md" in ran.out
    assert "--daemon" in run("team", "--help").out
