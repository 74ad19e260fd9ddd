"""What the reference gets wrong, end to end through the installed command."""

from __future__ import annotations

import json
import time
from pathlib import Path

from daemon_house import House

from thrum_kernel.testing.harness import Cli


def ids(page: dict[str, object]) -> list[str]:
    messages = page["messages"]
    assert isinstance(messages, list)
    return [each["message_id"] for each in messages]


def unread(cli: Cli) -> list[str]:
    return ids(cli.json("inbox", "--unread", "--page-size", "100"))


def test_a_recipient_that_does_not_exist_gets_nobody_anything(house: House) -> None:
    before = unread(house.bob)

    done = house.alice.run("send", "hello", "--to", "@bob", "--to", "@alcie", "--json")

    assert done.status == 1 and done.out == ""
    assert "alcie" in done.err and "did you mean" in done.err.lower() and "@alice" in done.err
    assert unread(house.bob) == before
    assert "alcie" not in house.person("team", "--all")


def test_a_reply_to_a_broadcast_reaches_its_audience(house: House) -> None:
    house.person("quickstart", "carol", "--role", "lead", "--module", "all")
    sent = house.alice.json("send", "to all of you", "--to", "@everyone")["message_id"]

    reply = house.bob.json("reply", sent, "I heard it")["message_id"]

    assert reply in unread(house.alice)
    assert reply in unread(house.person)
    assert reply not in unread(house.bob)


def test_the_same_recipient_named_twice_is_one_delivery(house: House) -> None:
    sent = house.alice.json(
        "send", "once", "--to", "@bob", "--to", "@bob", "--to", "bob", "--mention", "@bob"
    )

    assert unread(house.bob).count(sent["message_id"]) == 1
    (outgoing,) = [
        each for each in house.alice.json("sent")["messages"] if each["message_id"] == sent["message_id"]
    ]
    assert [each["agent_id"] for each in outgoing["recipients"]] == ["bob"]


def test_wait_reports_every_message_and_none_twice(house: House, tmp_path: Path) -> None:
    house.bob("inbox", "--page-size", "100")
    sent: list[str] = []
    seen: list[str] = []

    def send(text: str) -> None:
        sent.append(house.alice.json("send", text, "--to", "@bob")["message_id"])

    def wait(output: Path) -> list[str]:
        waiting = house.bob.background("wait", "--timeout", "20s", "--json", output=output)
        assert waiting.wait(30) == 0
        return ids(json.loads(output.read_text()))

    send("zero")
    house.bob.run("wait", "--timeout", "1s", "--json")  # wherever the first one begins, it ends here
    for number in range(3):
        send(f"{number} before")
        send(f"{number} before, too")
        output = tmp_path / f"wait-{number}.json"
        if number == 1:
            house.person("daemon", "restart")
        if number == 2:
            house.kill()
        seen += wait(output)

    assert seen == sent[1:]
    assert house.bob.run("wait", "--timeout", "1s").status == 1


def test_a_wait_that_was_cut_reports_it_again(house: House, tmp_path: Path) -> None:
    """A client that was killed before it took the answer was told nothing."""
    house.bob.run("wait", "--timeout", "1s")
    waiting = house.bob.background("wait", "--timeout", "20s", "--json", output=tmp_path / "cut.json")
    time.sleep(0.3)  # it stands before the daemon, or not: it must not matter
    waiting.signal(9)
    waiting.wait()
    sent = house.alice.json("send", "who hears this", "--to", "@bob")["message_id"]

    assert sent in ids(house.bob.json("wait", "--timeout", "5s"))


def test_a_deleted_message_leaves_no_content_anywhere(own_house: House) -> None:
    house = own_house
    secret = "perishable-b7f3c1"
    sent = house.alice.json(
        "send", f"the word is {secret}", "--to", "@bob", "--structured", f'{{"k":"{secret}"}}'
    )
    house.alice("message", "edit", sent["message_id"], f"no, it is {secret} still")
    house.alice("sync", "force")
    house.bob("reply", sent["message_id"], "an answer")
    assert house.bob.json("search", secret)["total"] == 1

    house.alice("message", "delete", sent["message_id"], "--force")

    assert files_with(house, secret) == []
    for cli in (house.alice, house.bob):
        for words in (("inbox",), ("sent",), ("message", "get", sent["message_id"]), ("thread", "list")):
            assert secret not in cli.run(*words, "--json").out, words
            assert secret not in cli.run(*words).out, words
    assert house.bob.json("search", secret)["total"] == 0


def test_a_message_that_was_never_published_leaves_nothing_when_deleted(house: House) -> None:
    secret = "perishable-90d2ee"
    sent = house.alice.json("send", f"the word is {secret}", "--to", "@bob")["message_id"]
    assert files_with(house, secret) != []

    house.alice("message", "delete", sent, "--force")

    assert files_with(house, secret) == []


def files_with(house: House, text: str) -> list[str]:
    """Every file of ours that holds *text* now."""
    roots = (house.sync, house.thrum, house.alice.cwd / ".thrum", house.bob.cwd / ".thrum")
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return [str(path) for path in files if text.encode() in path.read_bytes()]


def test_cleanup_leaves_agents_that_live_here_alone(house: House) -> None:
    agents = house.alice.json("agent", "list")["agents"]["agents"]

    house.alice.run("agent", "cleanup", "--force", "--json")

    assert house.alice.json("agent", "list")["agents"]["agents"] == agents


def test_names_are_compared_exactly(house: House) -> None:
    for name in ("b_b", "b%b"):
        done = house.alice.run("send", "hello", "--to", f"@{name}")
        assert done.status == 1, done
    assert house.alice.run("ping", "@bo_").status == 1


def test_ping_answers_for_the_one_asked(house: House) -> None:
    assert "bob" in house.alice("ping", "@bob")
    assert "alice" not in house.alice("ping", "@bob").replace("@alice", "")


def test_whichever_folder_one_stands_in_it_is_the_same_project(house: House, tmp_path: Path) -> None:
    below = house.bob.cwd / "src/deep"
    below.mkdir(parents=True, exist_ok=True)
    sent = house.alice.json("send", "found", "--to", "@bob")["message_id"]

    assert sent in unread(house.bob.at(below))
    assert house.bob.at(tmp_path).run("whoami").status == 1
    assert house.bob.at(tmp_path).json("team", "--repo", str(house.bob.cwd))
    pinned = house.bob.at(tmp_path, THRUM_HOME=str(house.repo.path))
    assert pinned.json("daemon", "status")["repo_path"] == str(house.repo.path)


def test_a_linked_worktree_of_an_initialised_repository_gets_a_redirect(house: House) -> None:
    linked = house.person.at(house.repo.worktree("dave").path)

    linked("quickstart", "dave", "--role", "tester", "--module", "shop")

    assert (linked.cwd / ".thrum/redirect").read_text().strip() == str(house.thrum)
    assert (linked.cwd / ".thrum/identities/dave.json").exists()
    assert not (house.thrum / "identities/dave.json").exists()
    assert linked.json("daemon", "status")["pid"] == house.pid
