"""What is the kernel's and stays without the plugin; where modes come from; what a judged command costs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from guards_house import House

from thrum_kernel.testing.harness import Repo, stop_daemon

ORPHAN = """
import json, os, socket, sys

connection = socket.socket(socket.AF_UNIX)
connection.settimeout(30)
connection.connect(sys.argv[1])
reads, writes = os.pipe()
if os.fork():
    os._exit(0)  # the process that connected is gone: nobody can say where it stood
os.close(writes)
os.read(reads, 1)  # ends with it
connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, **json.loads(sys.argv[2])}).encode() + b"\\n")
print(connection.makefile("rb").readline().decode(), end="")
"""


@contextlib.contextmanager
def without_guards(house: House) -> Iterator[House]:
    """The same project, its daemon started anew as if the plugin were not installed, until the block is left."""
    main = house.cli.at(house.repo.main)
    bare = main.at(main.cwd, THRUM_PLUGINS_DISABLE="guards")
    stop_daemon(main)
    bare("daemon", "start")
    assert "guards  active" not in bare("plugin", "list")
    try:
        yield replace(house, cli=bare.at(house.cli.cwd))
    finally:
        stop_daemon(main)
        main("daemon", "start")


def test_forgery_and_anonymous_writes_are_refused_with_the_plugin_and_without_it_nothing_else_is_judged(
    house: House,
) -> None:
    alice = house.agent()
    stranger = house.runtime()
    other = house.repo.worktree(house.named("bobs"))
    house.cli.at(other.path)(
        "agent", "register", "--name", house.named("bob"), "--role", "tester", "--module", "core"
    )
    house.set(unauthenticated_rpc="off")
    outside = house.folder / "outside"
    outside.mkdir()

    with without_guards(house) as bare:
        refused_whatever_is_installed(bare, other, outside)
        fires = house.fires()
        assert stranger.thrum("team").err == ""
        assert house.fires() == fires
    refused_whatever_is_installed(house, other, outside)
    assert stranger.thrum("team").status == 1
    assert alice.thrum("team").err == ""


def refused_whatever_is_installed(house: House, other: Repo, outside: Path) -> None:
    """What needs no plugin to be refused."""
    to = ("--to", f"@{house.alice}")
    forged = house.cli.at(other.path, THRUM_AGENT_ID=house.alice).run("send", "hello", *to)
    assert forged.status == 1
    assert forged.err.startswith('Error: identity guard "unauthenticated_rpc" fired: identity_mismatch\n')

    anonymous = house.cli.at(outside).run("send", "hello", *to, "--repo", str(house.repo.main))
    assert anonymous.status == 1
    assert 'anonymous caller cannot invoke "message.send"' in anonymous.err


def test_setting_up_outside_git_is_refused_in_the_words_of_the_guard_alone(outdoors: House) -> None:
    outside = outdoors.folder / "outside"
    outside.mkdir()
    refused = outdoors.cli.at(outside, GIT_CEILING_DIRECTORIES=str(outdoors.folder)).run("init")
    assert refused.status == 1
    assert refused.err.startswith('Error: identity guard "non_git_bootstrap" fired: not_a_git_repo\n')
    assert "identity_guard_fire" not in refused.err + refused.out


def test_a_daemon_outside_git_is_refused_by_the_guard_too_and_by_force_only_for_want_of_a_project(
    outdoors: House,
) -> None:
    outside = outdoors.folder / "outside"
    outside.mkdir()
    cli = outdoors.cli.at(outside, GIT_CEILING_DIRECTORIES=str(outdoors.folder))

    fired = cli.refused("daemon", "start")
    forced = cli.refused("daemon", "start", "--force")

    assert fired.startswith('Error: identity guard "non_git_bootstrap" fired: not_a_git_repo\n')
    assert "--force" in fired
    assert forced.startswith(f"Error: thrum is not initialized in {outside}\n")
    assert list(outside.iterdir()) == []


def test_doctor_names_the_file_of_settings_that_is_to_be_mended(house: House) -> None:
    lenient = house.cli.at(house.cli.cwd, THRUM_PLUGINS_STRICT="")

    def told() -> dict[str, tuple[str, str]]:
        found = json.loads(lenient.run("doctor", "--json").out)["findings"]
        return {
            each["text"].partition(":")[0]: (each["text"], each.get("remedy", ""))
            for each in found
            if each["subject"] == "plugins"
        }

    house.overlay.write_text("{")
    assert told()["guards"][1] == f"edit {house.overlay}"
    house.overlay.unlink()
    config = house.config
    before = config.read_text()
    config.write_text("{")
    assert told()["guards"][1] == f"edit {config}"
    stop_daemon(house.cli)
    assert told()["guards"][1] == f"edit {config}"
    config.write_text('{"identity_guard": {"dead_pid_auto_reclaim": "perhaps"}}')
    text, remedy = told()["guards"]
    assert "bad settings in config.json: identity_guard.dead_pid_auto_reclaim" in text
    assert remedy == f"edit {config}"
    config.write_text(before)
    assert told()["guards"] == ("guards: active", "")
    house.cli("daemon", "start")


def test_unauthenticated_rpc(house: House) -> None:
    script = house.folder / "orphan.py"
    script.write_text(ORPHAN)
    socket = house.log.with_name("thrum.sock")
    request = {"method": "session.start", "params": {"agent_id": house.alice}}

    for mode in ("strict", "warn", "off"):
        house.set(unauthenticated_rpc=mode)
        done = house.cli.spawner.run(
            [sys.executable, script, socket, json.dumps(request)], cwd=house.repo.path, env=house.cli.env
        )
        error = json.loads(done.out)["error"]

        fired = 'identity guard "unauthenticated_rpc" fired: no_caller_agent_id'
        assert (fired in error["message"]) == (mode == "strict"), error
        fire = house.fires()[-1]
        assert (fire["guard"], fire["mode"]) == ("unauthenticated_rpc", mode)


def test_modes_come_from_the_configuration_and_above_it_from_this_machine(house: House) -> None:
    house.agent()
    stranger = house.runtime()

    refused = house.cli.run("config", "set", "identity_guard.cross_worktree", "loud")
    assert refused.status == 1
    assert "identity_guard.cross_worktree" in refused.err
    house.cli("config", "set", "identity_guard.cross_worktree", "off")
    assert stranger.thrum("team").err == ""
    shown = house.cli.json("config", "show")["identity_guard"]
    assert shown["cross_worktree"] == {"value": "off", "source": "config.json"}
    assert shown["dead_pid_auto_reclaim"] == {"value": "warn", "source": "default"}

    for wrapped in (False, True):
        modes = {"cross_worktree": "warn"}
        house.overlay.write_text(json.dumps({"identity_guard": modes} if wrapped else modes))
        assert stranger.thrum("team").err.startswith('Warning: identity guard "cross_worktree" fired')
        for cli in (house.cli, house.cli.in_process()):
            shown = cli.json("config", "show")["identity_guard"]
            assert shown["cross_worktree"] == {"value": "warn", "source": "var/guard-daemon.json"}
            assert shown["prime_ownership"] == {"value": "strict", "source": "default"}
        assert "identity_guard.cross_worktree:            warn (var/guard-daemon.json)" in house.cli(
            "config", "show"
        )
    kept = house.cli("config", "set", "identity_guard.cross_worktree", "off")
    assert "var/guard-daemon.json ranks above it: warn" in kept
    house.overlay.unlink()
    assert stranger.thrum("team").err == ""


def test_an_overlay_that_cannot_be_understood_refuses_and_says_so(house: House) -> None:
    claude = house.agent()
    house.overlay.write_text('{"cross_worktree": "of')

    for runner in (claude.thrum, house.cli.run):
        done = runner("team")
        assert done.status == 1
        assert done.err.startswith(
            f'Error: identity guard "identity_guard" fired: settings_damaged\n  file: {house.overlay}\n  problem: is no JSON'
        )
    whoami = house.cli.run("whoami")
    assert whoami.status == 0
    assert "settings_damaged" in whoami.err
    assert house.cli.run("send", "hello", "--to", f"@{house.alice}").status == 0
    assert str(house.overlay) in house.cli("config", "show")

    house.overlay.write_text("{}")
    assert house.cli.run("team").err == ""


@pytest.mark.parametrize("restarted", [False, True], ids=["while_it_runs", "at_start"])
def test_a_mode_that_is_none_refuses_until_it_is_mended(house: House, restarted: bool) -> None:
    house.agent()
    config = house.config
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "identity_guard": {"cross_worktree": "loud"}}))
    if restarted:
        stop_daemon(house.cli)
        house.cli("daemon", "start")

    done = house.cli.run("team")
    assert done.status == 1
    assert done.err.startswith(
        f'Error: identity guard "identity_guard" fired: settings_damaged\n  file: {config}\n'
        "  problem: identity_guard.cross_worktree: input should be 'strict', 'warn' or 'off', not 'loud'\n"
    )
    assert house.cli.run("send", "hello", "--to", f"@{house.alice}").status == 0, "messaging is not judged"
    assert "thrum config set identity_guard.cross_worktree VALUE" in done.err
    assert "command:*" in house.cli("plugin", "show", "guards")
    listed = house.cli("plugin", "list")
    assert "guards  " in listed and "identity_guard.cross_worktree" in listed
    for cli in (house.cli, house.cli.in_process()):
        (finding,) = [
            each
            for each in json.loads(cli.run("doctor", "--json").out)["findings"]
            if each["subject"] == "identity guards"
        ]
        assert finding["level"] == "error" and "cross_worktree" in finding["text"]

    mended = house.cli.run("config", "set", "identity_guard.cross_worktree", "warn")
    assert mended.status == 0
    done = house.cli.run("team")
    assert (done.status, done.err) == (0, "")
    assert "identity_guard.cross_worktree" not in house.cli("plugin", "list")


def test_a_configuration_that_is_no_json_refuses_until_it_is_mended(house: House) -> None:
    config = house.config
    sound = config.read_text()
    config.write_text(sound[:-3])

    for _ in range(3):
        done = house.cli.run("team")
        assert done.status == 1
        assert f"settings_damaged\n  file: {config}\n  problem: is not valid JSON" in done.err
    told = house.cli.run("agent", "list").err
    assert told.count("\n") == 1, told
    assert told.startswith(
        f'Warning: identity guard "identity_guard" fired: settings_damaged: {config}: is not valid'
    )
    error, hint = house.cli.refused("config", "show").splitlines()
    assert error.startswith(f"Error: {config}: is not valid JSON") and hint.startswith("Hint: ")

    config.write_text(sound)
    assert house.cli.run("team").err == ""


def test_doctor_shows_how_strict_they_are(house: House) -> None:
    def shown() -> tuple[str, str]:
        findings = json.loads(house.cli.run("doctor", "--json").out)["findings"]
        (found,) = [each for each in findings if each["subject"] == "identity guards"]
        return found["level"], found["text"]

    assert shown() == ("ok", "7 strict, 1 warn")
    house.set(prime_ownership="off")
    assert shown() == ("warning", "off: prime_ownership")
    house.overlay.write_text("[")
    level, text = shown()
    assert level == "error"
    assert str(house.overlay) in text


AUDIT = """
import os, sys

if sys.orig_argv[1:5] == ["-P", "-m", "thrum_kernel", "daemon"] and "run" in sys.orig_argv:
    told = os.open(os.path.join(os.environ["HOME"], "audit"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system")

    def hook(event, arguments):
        if event in STARTS:
            os.write(told, f"start {event} {arguments[0]!r}\\n".encode())
        elif event == "open" and str(arguments[0]).endswith("/stat"):
            os.write(told, f"look {arguments[0]}\\n".encode())
        elif event in ("os.listdir", "os.scandir") and str(arguments[0]).rstrip("/") == "/proc":
            os.write(told, b"list\\n")

    sys.addaudithook(hook)
"""


def test_a_judged_command_is_one_look_at_the_processes_and_starts_none(outdoors: House) -> None:
    watched = outdoors.folder / "watched"
    watched.mkdir()
    (watched / "sitecustomize.py").write_text(AUDIT)
    above = os.environ.get("PYTHONPATH", "")
    outdoors.cli = outdoors.cli.at(
        outdoors.cli.cwd, PYTHONPATH=os.pathsep.join(filter(None, (str(watched), above)))
    )
    outdoors.cli("init", "--non-interactive", "--roles", "skip")
    audit = Path(outdoors.cli.env["HOME"]) / "audit"
    outdoors.agent()
    stranger = outdoors.runtime()
    outdoors.set(cross_worktree="warn")
    try:
        stranger.thrum("session", "list")
        assert any(line.startswith("start ") for line in audit.read_text().splitlines())  # git, at init
        audit.write_text("")

        done = stranger.thrum("session", "list")

        assert done.status == 0
        assert "cross_worktree" in done.err
        said = audit.read_text().splitlines()
        assert [line for line in said if line.startswith("start ")] == []
        assert said.count("list") <= 1
        assert said.count(f"look /proc/{stranger.pid}/stat") == 1
    finally:
        stop_daemon(outdoors.cli)
    shutil.rmtree(watched)
