"""The tour on the first page: every command of it is run, by who is said to, and prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

from thrum_kernel.testing.harness import Cli, Repo

PAGE = (Path(__file__).parents[2] / "README.md").read_text()
WHO = ("main", "alice", "alice", "bob", "alice")
"""Whose each block is, as the text around it says."""

VARYING = r"msg_\w{26}|ses_\w{26}|(?<=PID )\d+"


def blocks() -> list[str]:
    """The terminal sessions of the tour."""
    tour = PAGE.split("## Two minutes\n")[1].split("\n## ")[0]
    return re.findall(r"```console\n(.*?)```", tour, re.DOTALL)


def test_the_tour_does_what_the_page_shows(cli: Cli, repo: Repo) -> None:
    places = {"main": repo.path, "bob": repo.worktree("bob").path, "alice": repo.path.parent / "alice"}
    message = ""

    for number, (who, block) in enumerate(zip(WHO, blocks(), strict=True)):
        if number == 2:
            told = cli.at(places["bob"])("quickstart", "bob", "--role", "reviewer", "--module", "checkout")
            assert re.findall("is told `(.*?)`", PAGE.replace("\n", " "))[0] in told
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, _, shown = entry.partition("\n")
            place = places[who] if places[who].exists() else repo.path
            typed = re.sub(VARYING, message, typed).replace("thrum ", f"{cli.program[0]} ")
            ran = cli.spawner.run(["sh", "-c", typed], cwd=place, env=cli.env)
            assert ran.status == 0, ran
            assert varied(shown) == varied(ran.out + ran.err), typed
            message = message or "".join(re.findall(r"msg_\w{26}", ran.out)[:1])


def varied(text: str) -> list[str]:
    """The lines that say something, without what differs each time."""
    return [re.sub(VARYING, "…", line) for line in text.splitlines() if line.strip()]
