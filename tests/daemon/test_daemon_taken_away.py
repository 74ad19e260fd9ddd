"""Files of ours that go away under a running daemon: it notices and ends, and the next one has everything again.

So one house is enough for all of it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from daemon_house import House, command_frame, connected, frames_of, is_alive, read_all

from thrum_kernel.cli import client
from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.waiting import until


def known(house: House) -> dict[str, Any]:
    """What has to be there again."""
    agents = house.person.json("agent", "list")["agents"]["agents"]  # starts the daemon where none runs
    return {
        "agents": sorted(agent["agent_id"] for agent in agents),
        "identity": house.status()["identity"],
        "alice": house.alice.json("whoami")["agent_id"],
        "bob": house.bob.json("whoami")["agent_id"],
        "setting": house.person.json("config", "show")["daemon"]["sync_interval"],
        "inbox": [each["message_id"] for each in house.bob.json("inbox", "--unread")["messages"]],
    }


def cleaned(repo: Repo, how: str) -> None:
    """`git clean` in a worktree; the linked ones lie beside the main one, so each is cleaned by itself."""
    repo.git("clean", "-q", how)
    assert not (repo.path / ".thrum").exists()


@pytest.mark.parametrize("how", ["-fdx", "-ffdx"])
def test_git_clean_beside_a_running_daemon(house: House, how: str) -> None:
    house.alice("config", "set", "daemon.sync_interval", "90")
    house.person("quickstart", "carol", "--role", "lead", "--module", "all")
    house.alice("send", "kept", "--to", "@bob", "--to", "@carol")
    before, old = known(house), house.pid

    for place in (
        house.repo,
        *(Repo(cli.cwd, house.repo.path, house.repo.env) for cli in (house.alice, house.bob)),
    ):
        cleaned(place, how)
    sent = house.bob.json("send", "goes on", "--to", "@alice")

    assert sent["message_id"]
    after = known(house)
    assert after == before
    assert house.person.json("whoami")["agent_id"] == "carol"
    assert not is_alive(old)
    assert house.pid != old
    assert any("written back" in warning for warning in house.status()["warnings"])


def test_a_command_that_the_old_daemon_took_goes_to_the_next_one(house: House) -> None:
    """It may know nobody any more: it does not call its callers strangers, it sends them on."""
    frame = command_frame(["send", "hello", "--to", "@bob"], cwd=house.alice.cwd, request_id="sent-on")
    with connected(house.socket) as link:
        cleaned(house.repo, "-fdx")
        link.sendall(frame)
        kinds = [kind for kind, _ in frames_of(read_all(link))]

    assert kinds in ([client.REFUSED], [client.RUN, client.REFUSED])
    assert house.alice("send", "hello", "--to", "@bob").startswith("✓")


def test_git_clean_and_an_explicit_start(house: House) -> None:
    before, old = known(house), house.pid

    cleaned(house.repo, "-fdx")
    house.person("daemon", "start")

    assert known(house) == before
    assert not is_alive(old)


def test_the_lock_file_taken_away_ends_the_daemon(house: House) -> None:
    house.alice("send", "kept", "--to", "@bob")
    before, old = known(house), house.pid

    (house.sync / "lock").unlink()
    refused = house.alice.run("send", "too late", "--to", "@bob")
    until(lambda: not is_alive(old))

    after = known(house)
    assert after["identity"] == before["identity"]
    if refused.status:  # taken by nobody, or by the next daemon
        assert refused.err.startswith("Error: ")
        assert after["inbox"] == before["inbox"]
    assert house.person.json("log", "verify")["ok"]


def test_the_socket_taken_away_ends_the_daemon(house: House) -> None:
    before, old = house.bob.json("inbox")["total"], house.pid

    house.socket.unlink()
    found = house.bob.json("inbox")

    assert found["total"] == before
    assert not is_alive(old)


def test_files_of_a_dead_daemon_are_in_nobodys_way(house: House) -> None:
    house.kill()
    record = json.loads((house.thrum / "var/thrum.pid").read_text())
    record["pid"] = os.getpid()  # a number that the system gave to somebody else
    (house.thrum / "var/thrum.pid").write_text(json.dumps(record))

    assert house.person.json("daemon", "status")["running"] is False
    house.person("daemon", "start")

    assert house.pid != os.getpid()


def test_the_whole_thrum_folder_of_a_linked_worktree_goes(house: House) -> None:
    shutil.rmtree(house.bob.cwd / ".thrum")

    house.person("daemon", "restart")

    assert house.bob.json("whoami")["agent_id"] == "bob"


def test_the_projection_may_go_at_any_time(house: House) -> None:
    house.alice("send", "foundagain", "--to", "@bob")
    before = known(house)
    house.kill()
    for path in house.thrum.glob("var/*.db*"):
        path.unlink()

    assert known(house) == before
    until(lambda: house.bob.run("search", "foundagain").status == 0)  # indexed in the background
    assert house.bob.json("search", "foundagain")["total"] == 1


def test_a_path_with_spaces_quotes_and_other_letters(tmp_path: Path, cli: Cli, repo: Repo) -> None:
    name = "größe 日本 quo'te\"$x"
    odd = Repo.make(tmp_path / name / "project", repo.env)
    person = cli.at(odd.path)
    person("init", "--non-interactive", "--name", "dana", "--role", "lead", "--module", "all")
    try:
        linked = person.at(odd.worktree(name + " linked", branch="linked").path)
        linked("quickstart", "emil", "--role", "tester", "--module", "all")
        linked("send", "hello", "--to", "@dana")
        below = odd.path / "a folder"
        below.mkdir()
        assert person.at(below).json("inbox", "--unread")["unread"] == 1
        assert person.json("daemon", "status")["repo_path"] == str(odd.path)
    finally:
        person("daemon", "stop")


def test_a_path_longer_than_a_socket_address(tmp_path: Path, cli: Cli, repo: Repo) -> None:
    deep = tmp_path.joinpath(*[f"{number:02d}-a-folder-name-that-is-rather-long" for number in range(8)])
    far = Repo.make(deep / "project", repo.env)
    person = cli.at(far.path)
    person("init", "--non-interactive", "--name", "dana", "--role", "lead", "--module", "all")
    try:
        socket = Path(person.json("daemon", "status")["socket"])
        assert len(os.fsencode(socket)) > 300
        person.at(far.worktree("linked").path)("quickstart", "emil", "--role", "tester", "--module", "all")
        assert person("send", "hello", "--to", "@emil").startswith("✓ Message sent: ")
        person("daemon", "restart")
        assert person.in_process().json("sent")["total"] == 1
    finally:
        person("daemon", "stop")
