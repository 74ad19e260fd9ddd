"""Files of ours that are damaged: named in one line, nothing changed, and what can still work works."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from daemon_house import House


def one_error(text: str) -> str:
    """The one ``Error:`` line of what a command wrote to standard error."""
    errors = [line for line in text.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, text
    assert "Traceback" not in text
    return errors[0]


def unread(house: House) -> list[str]:
    """Ids of bob's unread messages."""
    return [
        each["message_id"] for each in house.bob.json("inbox", "--unread", "--page-size", "100")["messages"]
    ]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jsonl")}


def publish(house: House) -> list[Path]:
    """Everything in range files; their paths."""
    house.alice("sync", "force")
    return sorted((house.sync / "a-sync").rglob("*.jsonl"))


def test_a_torn_journal_is_cut_kept_and_told(house: House) -> None:
    sent = house.alice.json("send", "whole", "--to", "@bob")["message_id"]
    house.kill()
    journal = house.journals()[-1]
    with journal.open("ab") as stream:
        stream.write(b'{"type":"message.create","event_id":"evt_01J')

    house.person("daemon", "start")

    status = house.status()
    assert any("never acknowledged" in warning for warning in status["warnings"])
    assert "Warning: " in house.person("daemon", "status")
    kept = [path.read_bytes() for path in (house.sync / "quarantine").rglob("*") if path.is_file()]
    assert any(b'"event_id":"evt_01J' in content for content in kept)
    assert sent in unread(house)
    assert house.person.json("log", "verify")["ok"]


def test_half_a_line_without_an_end_after_a_torn_one_is_no_matter_either(house: House) -> None:
    house.alice("send", "whole", "--to", "@bob")
    house.kill()
    with house.journals()[-1].open("ab") as stream:
        stream.write(b"\0" * 4096)

    sent = house.alice.json("send", "next", "--to", "@bob")["message_id"]

    assert sent in unread(house)
    assert house.person.json("log", "verify")["ok"]


def test_a_damaged_range_file_is_named_and_the_daemon_starts(own_house: House) -> None:
    own_house.alice("send", "first words", "--to", "@bob")
    own_house.alice("send", "second words", "--to", "@bob")
    files = publish(own_house)
    own_house.person("daemon", "stop")
    victim = next(path for path in files if b"first words" in path.read_bytes())
    victim.write_bytes(victim.read_bytes().replace(b"first words", b"other words"))
    for path in own_house.thrum.glob("var/*.db*"):
        path.unlink()

    own_house.person("daemon", "start")

    done = own_house.person.run("log", "verify", "--json")
    found = json.loads(done.out)
    assert done.status == 1
    assert not found["ok"]
    assert any(victim.name in problem["path"] for problem in found["problems"])
    assert own_house.alice("send", "third words", "--to", "@bob").startswith("✓")


def test_what_a_half_written_range_file_no_longer_tells_is_told_until_it_is_whole(house: House) -> None:
    house.alice("send", "words of a range", "--to", "@bob")
    files = publish(house)
    house.person("daemon", "stop")
    victim = next(path for path in files if b"words of a range" in path.read_bytes())
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-20])
    for path in house.thrum.glob("var/*.db*"):
        path.unlink()

    house.person("daemon", "start")

    assert any(victim.name in warning for warning in house.status()["warnings"])
    assert "missing here: thrum log verify" in house.person("daemon", "status")
    victim.write_bytes(whole)
    house.person("daemon", "restart")
    assert not any(victim.name in warning for warning in house.status().get("warnings", []))
    assert "words of a range" in house.bob("inbox", "--unread")


def test_a_start_on_what_it_cannot_read_names_that_and_changes_nothing(house: House) -> None:
    house.alice("send", "kept", "--to", "@bob")
    publish(house)
    house.person("daemon", "stop")
    for path in house.sync.glob("local.db-*"):
        path.unlink()
    config, log = (house.thrum / "config.json").read_bytes(), snapshot(house.sync)
    for name, damaged in (
        ("daemon.json", b'{"daemon_id": "d_01'),
        ("daemon.json", b'{"daemon_id": "somebody"}'),
        ("daemon.json", b""),
        ("local.db", b"no database" * 400),
        ("a-sync/FORMAT", b"999\n"),
    ):
        path = house.sync / name
        good = path.read_bytes()
        path.write_bytes(damaged)

        error = one_error(house.person.refused("daemon", "start"))

        assert path.name in error or "version" in error
        assert path.read_bytes() == damaged
        assert (house.thrum / "config.json").read_bytes() == config
        assert snapshot(house.sync) == log
        path.write_bytes(good)
    house.person("daemon", "start")


def test_a_half_written_configuration_is_named_with_its_line(house: House) -> None:
    sent = house.alice.json("send", "kept", "--to", "@bob")["message_id"]
    config = house.thrum / "config.json"
    good = config.read_bytes()
    config.write_bytes(good[: len(good) // 2])
    damaged = config.read_bytes()

    error = one_error(house.alice.refused("config", "set", "daemon.sync_interval", "90"))

    assert "config.json" in error and "line " in error
    assert config.read_bytes() == damaged
    assert sent in unread(house)
    house.person("daemon", "stop")
    error = one_error(house.person.refused("daemon", "start"))
    assert "config.json" in error and "line " in error
    assert config.read_bytes() == damaged
    config.write_bytes(good)
    house.person("daemon", "start")
    assert sent in unread(house)


def test_a_database_of_another_program_is_moved_aside(house: House) -> None:
    sent = house.alice.json("send", "kept", "--to", "@bob")["message_id"]
    house.kill()
    for path in house.thrum.glob("var/messages.db*"):
        path.unlink()
    database = house.thrum / "var/messages.db"
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE theirs (words TEXT)")
        other.execute("INSERT INTO theirs VALUES ('not ours')")
    other.close()

    assert sent in unread(house)
    (aside,) = [path for path in database.parent.glob("messages*") if b"not ours" in path.read_bytes()]
    assert any(str(aside) in warning for warning in house.status()["warnings"])


@pytest.mark.parametrize("content", [b"", b"this is no database at all, only text" * 40])
def test_a_broken_projection_is_made_anew(house: House, content: bytes) -> None:
    sent = house.alice.json("send", "kept", "--to", "@bob")["message_id"]
    house.kill()
    for path in house.thrum.glob("var/messages.db*"):
        path.unlink()
    (house.thrum / "var/messages.db").write_bytes(content)

    assert sent in unread(house)


def test_a_damaged_identity_file_is_named_and_kept(house: House) -> None:
    identity = house.alice.cwd / ".thrum/identities/alice.json"
    good = identity.read_bytes()
    damaged = good[:40]
    identity.write_bytes(damaged)

    assert "alice.json" in one_error(house.alice.refused("whoami"))
    assert house.bob.json("whoami")["agent_id"] == "bob"
    assert any("alice.json" in warning for warning in house.status()["warnings"])
    house.person("daemon", "restart")
    assert "alice.json" in one_error(house.alice.refused("whoami"))
    assert identity.read_bytes() == damaged
    identity.write_bytes(good)
    assert house.alice.json("whoami")["agent_id"] == "alice"


def test_a_redirect_that_leads_nowhere_is_named(house: House) -> None:
    redirect = house.bob.cwd / ".thrum/redirect"
    good = redirect.read_text()
    redirect.write_text("/nowhere/at/all/.thrum\n")

    error = one_error(house.bob.refused("inbox"))

    assert str(redirect) in error or "/nowhere/at/all" in error
    assert redirect.read_text() == "/nowhere/at/all/.thrum\n"
    redirect.write_text(good)


def test_a_project_that_is_no_git_repository_any_more(house: House) -> None:
    house.person("daemon", "stop")
    (house.repo.path / ".git").rename(house.repo.path / "git-aside")

    done = house.person.run("inbox")

    assert done.status == 1
    one_error(done.err)
    (house.repo.path / "git-aside").rename(house.repo.path / ".git")
    house.person("daemon", "start")


def test_an_identity_file_that_cannot_be_read_is_named_with_what_to_do(house: House) -> None:
    file = house.bob.cwd / ".thrum/identities/bob.json"
    whole = file.read_bytes()
    try:
        file.write_text('{"agent": ')
        for words in (("send", "hello", "--to", "@alice"), ("inbox",)):
            for cli in (house.bob, house.bob.in_process()):
                refused = cli.refused(*words)
                assert str(file) in one_error(refused)
                assert "mend or remove that file" in refused
    finally:
        file.write_bytes(whole)
    assert house.bob("inbox")
