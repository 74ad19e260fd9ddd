"""Two agents in one repository talk to each other, and to one in another clone: real commands, daemons, log and git.

Run it with ``make demo``. It works in a scratch folder that it removes, prints a transcript, and ends with a status
other than 0 when any step is not what it should be.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from thrum_kernel.testing.harness import Cli, Failed, Repo, clean_environment, stop_daemon
from thrum_kernel.testing.spawner import Spawner


class Transcript:
    """Shows each command as it was typed and what came of it."""

    def __init__(self) -> None:
        self.steps = 0

    def heading(self, text: str) -> None:
        print(f"\n── {text} " + "─" * max(0, 76 - len(text)))

    def run(self, who: str, cli: Cli, *words: str) -> str:
        """Run a command and show it."""
        out = cli(*words)
        self.show(who, words, out)
        return out

    def show(self, who: str, words: tuple[str, ...], out: str) -> None:
        typed = " ".join(json.dumps(word) if " " in word else word for word in words)
        print(f"\n{who} $ thrum {typed}")
        for line in out.rstrip("\n").splitlines():
            print(f"    {line}")
        self.steps += 1

    def expect(self, claim: str, holds: bool) -> None:
        """Stop the demo when a claim does not hold."""
        if not holds:
            raise Failed(f"expected: {claim}")
        print(f"    ✓ {claim}")


def play(folder: Path, spawner: Spawner) -> int:
    """The whole story; gives the number of commands shown."""
    home = folder / "home"
    home.mkdir()
    env = clean_environment(home)
    repo = Repo.make(folder / "shop", env)
    (repo.path / "checkout.py").write_text("def total(items):\n    return sum(items)\n")
    repo.git("add", "checkout.py")
    repo.git("commit", "-q", "-m", "checkout")
    alice_home, bob_home = repo.worktree("alice"), repo.worktree("bob")
    person = Cli(spawner, repo.path, env)
    alice, bob = person.at(alice_home.path), person.at(bob_home.path)
    show = Transcript()
    try:
        _set_up(show, person, alice, bob)
        question = _ask_and_answer(show, alice, bob, folder)
        _look_around(show, alice, bob, bob_home, question)
        _wait_for_news(show, alice, bob, folder)
        _watch_a_log(show, alice, bob, folder)
        _second_clone(show, repo, person, alice, folder)
    finally:
        stop_daemon(person)
    return show.steps


def _set_up(show: Transcript, person: Cli, alice: Cli, bob: Cli) -> None:
    show.heading("A repository with two linked worktrees gets thrum")
    out = show.run("person", person, "init", "--non-interactive")
    show.expect("init says so", "Thrum initialized" in out)
    status = person.json("daemon", "status")
    show.expect(f"the daemon runs (PID {status['pid']})", status["running"])

    show.heading("Two agents register, each from its own worktree")
    for name, cli, role in (("alice", alice, "implementer"), ("bob", bob, "reviewer")):
        show.run(
            name,
            cli,
            "quickstart",
            name,
            "--role",
            role,
            "--module",
            "checkout",
            "--intent",
            f"{role} at work",
        )
        show.expect(f"whoami answers {name}", cli.json("whoami")["agent_id"] == name)


def _ask_and_answer(show: Transcript, alice: Cli, bob: Cli, folder: Path) -> str:
    show.heading("alice asks, bob reads and answers")
    sent = alice.json("send", "May I round in total()?", "--to", "@bob")
    show.show(
        "alice", ("send", "May I round in total()?", "--to", "@bob"), f"✓ Message sent: {sent['message_id']}"
    )
    unread = bob.json("inbox", "--unread")
    show.expect("one unread message for bob", unread["unread"] == 1)
    out = show.run("bob", bob, "inbox")
    show.expect("bob sees the question", "May I round in total()?" in out)
    reply = bob.json("reply", sent["message_id"], "Yes, to two digits.")
    show.show(
        "bob", ("reply", sent["message_id"], "Yes, to two digits."), f"✓ Reply sent: {reply['message_id']}"
    )
    show.expect("nothing is left unread for bob", bob.json("inbox", "--unread")["unread"] == 0)
    out = show.run("alice", alice, "sent")
    states = _states(alice.json("sent"), sent["message_id"])
    show.expect("alice sees that bob read and answered it", states == {"bob": "answered"})
    return str(sent["message_id"])


def _states(outbox: dict[str, Any], message_id: str) -> dict[str, str]:
    message = next(item for item in outbox["messages"] if item["message_id"] == message_id)
    return {recipient["agent_id"]: recipient["state"] for recipient in message["recipients"]}


def _look_around(show: Transcript, alice: Cli, bob: Cli, bob_home: Repo, question: str) -> None:
    show.heading("Who is here, and who edits what")
    (bob_home.path / "checkout.py").write_text("def total(items):\n    return round(sum(items), 2)\n")
    show.run("bob", bob, "agent", "heartbeat")
    out = show.run("alice", alice, "who-has", "checkout.py")
    show.expect("bob is the one editing checkout.py", "@bob is editing checkout.py" in out)
    show.run("alice", alice, "team")
    members = {member["agent_id"]: member["status"] for member in alice.json("team")["members"]}
    show.expect("both are active", members == {"alice": "active", "bob": "active"})
    show.run("alice", alice, "overview")
    show.expect("overview counts alice's mail", alice.json("overview")["inbox"]["unread"] == 1)


def _wait_for_news(show: Transcript, alice: Cli, bob: Cli, folder: Path) -> None:
    show.heading("bob waits in the background; alice writes to everyone")
    bob.json("inbox")
    time.sleep(1.1)  # the first wait of a session looks back one second
    output = folder / "bob-waits.txt"
    waiting = bob.background("wait", "--timeout", "30s", "--json", output=output)
    time.sleep(0.5)  # the point of the scene: the wait is there first
    show.run("alice", alice, "send", "Rounding is in, please pull.", "--to", "@everyone")
    show.expect("wait ends with status 0", waiting.wait(30) == 0)
    arrived = json.loads(output.read_text())
    texts = [message["body"]["content"] for message in arrived["messages"]]
    show.show("bob", ("wait", "--timeout", "30s"), f"{arrived['status']}: {'; '.join(texts)}")
    show.expect("it gave exactly the new message", texts == ["Rounding is in, please pull."])


def _watch_a_log(show: Transcript, alice: Cli, bob: Cli, folder: Path) -> None:
    show.heading("A monitor watches the build's log, and wakes bob when it breaks")
    log, output = folder / "build.log", folder / "bob-hears.txt"
    log.write_text("compiling checkout.py\n")
    command = ("tail", "-n", "+1", "-F", str(log))
    out = show.run(
        "alice",
        alice,
        "monitor",
        "start",
        "--name",
        "build",
        "--match",
        "FAIL",
        "--to",
        "@bob",
        "--",
        *command,
    )
    show.expect("it runs", "Started monitor mon_" in out)
    waiting = bob.background("wait", "--timeout", "30s", "--json", output=output)
    time.sleep(0.5)  # the point of the scene: bob sleeps when the build breaks
    for line in ("test_add ok", "test_total FAIL: 48.2 is not 48.20", "1 of 2 FAILED"):
        with log.open("a") as file:
            file.write(f"{line}\n")
        print(f"    build.log: {line}")
    show.expect("bob wakes up", waiting.wait(30) == 0)
    (alarm,) = json.loads(output.read_text())["messages"]
    show.show("bob", ("wait", "--timeout", "30s"), f"{alarm['agent_id']}: {alarm['body']['content']}")
    show.expect(
        "by the first line that matched", alarm["body"]["content"] == "test_total FAIL: 48.2 is not 48.20"
    )
    show.run("alice", alice, "monitor", "list")
    show.run("alice", alice, "monitor", "delete", "build")
    (rest,) = bob.json("wait", "--timeout", "30s")["messages"]
    show.expect("the other match is told when the monitor ends", "1 of 2 FAILED" in rest["body"]["content"])
    bob("inbox")


def _second_clone(show: Transcript, repo: Repo, person: Cli, alice: Cli, folder: Path) -> None:
    show.heading("A colleague on another machine clones the repository, and joins")
    host, path = folder / "host.git", folder / "elsewhere" / "shop"
    repo.git("init", "-q", "--bare", str(host))
    repo.git("remote", "add", "origin", str(host))
    repo.git("push", "-q", "origin", "main")
    show.run("person", person, "config", "set", "daemon.local_only", "false")
    show.run("alice", alice, "sync", "force")
    repo.git("clone", "-q", "-b", "main", str(host), str(path))
    clone = Repo(path, path, repo.env)
    colleague = Cli(person.spawner, path, person.env)
    try:
        out = show.run("colleague", colleague, "init", "--non-interactive")
        show.expect("init joins the messages that are there", "Joined the messages of origin" in out)
        show.run("carol", colleague, "quickstart", "carol", "--role", "tester", "--module", "checkout")
        show.run("carol", colleague, "send", "Which cases shall I test?", "--to", "@alice")
        colleague("sync", "force")
        alice("sync", "force")
        out = show.run("alice", alice, "inbox")
        show.expect("alice has it, from another clone", "Which cases shall I test?" in out)
        show.run("alice", alice, "send", "The ones with cents.", "--to", "@carol")
        alice("sync", "force")
        colleague("sync", "force")
        out = show.run("carol", colleague, "inbox")
        show.expect("carol has the answer", "The ones with cents." in out)
        branches = clone.git("branch", "--format=%(refname:short)").split()
        show.expect("the branches of the clone are its own", branches == ["main"])
    finally:
        stop_daemon(colleague)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="thrum-demo-"))
    spawner = Spawner()
    try:
        steps = play(folder, spawner)
    except (Failed, TimeoutError, KeyError) as error:
        print(
            f"\nThe demo failed: {error!r}" if isinstance(error, KeyError) else f"\nThe demo failed: {error}"
        )
        for log in folder.glob("**/shop/.thrum/var/daemon.log"):
            print("\n".join(log.read_text().splitlines()[-30:]))
        return 1
    finally:
        spawner.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nDemo complete: {steps} commands, every step as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
