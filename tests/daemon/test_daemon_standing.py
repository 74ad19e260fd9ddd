"""What a command tells of where it stands: a name that selects nobody, a worktree that nobody set up."""

from __future__ import annotations

import json
from dataclasses import replace

from daemon_house import House

from thrum_kernel.testing.harness import Cli


def named(cli: Cli, name: str) -> Cli:
    return replace(cli, env={**cli.env, "THRUM_NAME": name})


def newcomer(house: House, name: str) -> Cli:
    """The first agent of a new worktree."""
    cli = house.person.at(house.repo.worktree(name).path)
    cli("quickstart", name, "--role", "reviewer", "--module", "shop")
    return cli


def test_a_thrum_name_that_selects_nobody_is_told_once(house: House) -> None:
    for cli in (house.bob, house.bob.in_process()):
        done = named(cli, "bib").run("send", "hello", "--to", "@alice")
        assert done.status == 0
        assert done.err.count("THRUM_NAME=bib names no identity of this worktree") == 1
        hints = json.loads(named(cli, "bib")("whoami", "--json"))["hints"]
        assert [hint["code"] for hint in hints] == ["identity.name-ignored"]
        assert "THRUM_NAME" not in named(cli, "bob").run("inbox").err


def test_a_thrum_name_that_selects_none_of_several_is_told(house: House) -> None:
    here = newcomer(house, "carl")
    here("agent", "register", "--name", "bert", "--role", "tester", "--module", "shop")

    for cli in (here, here.in_process()):
        for words in (("send", "hello", "--to", "@alice"), ("whoami",)):
            refused = named(cli, "bib").refused(*words)
            assert "Available: bert, carl" in refused
            assert "Ignored: THRUM_NAME=bib names none of them" in refused


def test_another_agent_registers_where_several_live(house: House) -> None:
    here = newcomer(house, "dora")
    here("agent", "register", "--name", "dick", "--role", "tester", "--module", "shop")

    here("quickstart", "dirk", "--role", "tester", "--module", "shop")
    here.in_process()("quickstart", "dina", "--role", "tester", "--module", "shop")
    here("agent", "register", "--name", "dick", "--role", "tester", "--module", "shop")

    refused = here.refused("whoami")
    assert "Available: dick, dina, dirk, dora" in refused


def test_registering_in_a_worktree_that_nobody_set_up_shows_git_nothing(house: House) -> None:
    exclude = house.repo.path / ".git/info/exclude"
    before = exclude.read_bytes().split(b"# Thrum")[0]
    exclude.write_bytes(before)
    linked = house.repo.worktree("carol")

    house.person.at(linked.path)("agent", "register", "--name", "carol", "--role", "lead", "--module", "m")

    assert (linked.path / ".thrum/identities/carol.json").exists()
    assert ".thrum" not in linked.git("status", "--porcelain")
    assert exclude.read_bytes().startswith(before)


def test_a_worktree_takes_a_third_agent_and_says_who_is_there(house: House) -> None:
    here = newcomer(house, "emma")
    (here.cwd / "head.md").write_text("# Head of ella")
    for cli, name in ((here, "emil"), (here.in_process(), "erik"), (here, "ella")):
        told = cli(
            *("quickstart", name, "--role", "tester", "--module", "shop", "--preamble-file", "head.md")
        )
        assert f"✓ Agent registered: {name}" in told
        assert f"✓ Preamble saved for {name}" in told
    assert "Agent registered: ezra" in here(
        "agent", "register", "--name", "ezra", "--role", "tester", "--module", "shop"
    )
    assert "# Head of ella" in named(here, "ella")("context", "preamble")

    for words in ("status", "overview"):
        told = here(words)
        assert "Agent: cannot auto-select identity: 5 identity files" in told
        assert "Available: ella, emil, emma, erik, ezra" in told
        assert "not registered here" not in told


def test_who_registers_without_a_name_is_who_is_here_already(house: House) -> None:
    here = newcomer(house, "fred")
    for cli in (here, here.in_process()):
        for words in (("quickstart",), ("agent", "register"), ("quickstart", "--intent", "again")):
            assert "Agent registered: fred\n" in cli(*words)
    refused = here.refused("quickstart", "--role", "lead", "--module", "shop")
    assert "agent fred is registered with role" in refused
    assert "--name for another agent" in refused
    assert here("whoami", "--field", "agent_id") == "fred\n"

    here("agent", "register", "--name", "finn", "--role", "tester", "--module", "shop")
    assert "Available: finn, fred" in here.refused("quickstart", "--role", "tester", "--module", "shop")
