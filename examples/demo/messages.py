"""Two agents in one repository talk to each other."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from transcript import Transcript

from thrum_kernel.testing.harness import Cli, Repo


def set_up(show: Transcript, person: Cli, alice: Cli, bob: Cli) -> None:
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


def ask_and_answer(show: Transcript, alice: Cli, bob: Cli, folder: Path) -> str:
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


def look_around(show: Transcript, alice: Cli, bob: Cli, bob_home: Repo, question: str) -> None:
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


def wait_for_news(show: Transcript, alice: Cli, bob: Cli, folder: Path) -> None:
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
