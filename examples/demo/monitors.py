"""A monitor tells an agent what happens in a log."""

from __future__ import annotations

import json
import time
from pathlib import Path

from transcript import Transcript

from thrum_kernel.testing.harness import Cli


def watch_a_log(show: Transcript, alice: Cli, bob: Cli, folder: Path) -> None:
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
