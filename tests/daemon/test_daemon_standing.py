"""What a command tells of where it stands: a name that selects nobody, a worktree that nobody set up."""

from __future__ import annotations

import json
from dataclasses import replace

from daemon_house import House

from thrum_kernel.testing.harness import Cli


def named(cli: Cli, name: str) -> Cli:
    return replace(cli, env={**cli.env, "THRUM_NAME": name})


def test_a_thrum_name_that_selects_nobody_is_told_once(house: House) -> None:
    for cli in (house.bob, house.bob.in_process()):
        done = named(cli, "bib").run("send", "hello", "--to", "@alice")
        assert done.status == 0
        assert done.err.count("THRUM_NAME=bib names no identity of this worktree") == 1
        hints = json.loads(named(cli, "bib")("whoami", "--json"))["hints"]
        assert [hint["code"] for hint in hints] == ["identity.name-ignored"]
        assert "THRUM_NAME" not in named(cli, "bob").run("inbox").err


def test_a_thrum_name_that_selects_none_of_several_is_told(own_house: House) -> None:
    own_house.bob("agent", "register", "--name", "bert", "--role", "tester", "--module", "shop")

    for cli in (own_house.bob, own_house.bob.in_process()):
        for words in (("send", "hello", "--to", "@alice"), ("whoami",)):
            refused = named(cli, "bib").refused(*words)
            assert "Available: bert, bob" in refused
            assert "Ignored: THRUM_NAME=bib names none of them" in refused


def test_another_agent_registers_where_several_live(own_house: House) -> None:
    own_house.bob("agent", "register", "--name", "bert", "--role", "tester", "--module", "shop")

    own_house.bob("quickstart", "bill", "--role", "tester", "--module", "shop")
    own_house.bob.in_process()("quickstart", "bess", "--role", "tester", "--module", "shop")
    own_house.bob("agent", "register", "--name", "bert", "--role", "tester", "--module", "shop")

    refused = own_house.bob.refused("whoami")
    assert "Available: bert, bess, bill, bob" in refused


def test_registering_in_a_worktree_that_nobody_set_up_shows_git_nothing(own_house: House) -> None:
    exclude = own_house.repo.path / ".git/info/exclude"
    before = exclude.read_bytes().split(b"# Thrum")[0]
    exclude.write_bytes(before)
    linked = own_house.repo.worktree("carol")

    own_house.person.at(linked.path)(
        "agent", "register", "--name", "carol", "--role", "lead", "--module", "m"
    )

    assert (linked.path / ".thrum/identities/carol.json").exists()
    assert ".thrum" not in linked.git("status", "--porcelain")
    assert exclude.read_bytes().startswith(before)


def test_a_worktree_takes_a_third_agent_and_says_who_is_there(own_house: House) -> None:
    (own_house.bob.cwd / "head.md").write_text("# Head of cara")
    for cli, name in ((own_house.bob, "bert"), (own_house.bob.in_process(), "bill"), (own_house.bob, "cara")):
        told = cli(
            *("quickstart", name, "--role", "tester", "--module", "shop", "--preamble-file", "head.md")
        )
        assert f"✓ Agent registered: {name}" in told
        assert f"✓ Preamble saved for {name}" in told
    assert "Agent registered: dan" in own_house.bob(
        "agent", "register", "--name", "dan", "--role", "tester", "--module", "shop"
    )
    assert "# Head of cara" in named(own_house.bob, "cara")("context", "preamble")

    for words in ("status", "overview"):
        told = own_house.bob(words)
        assert "Agent: cannot auto-select identity: 5 identity files" in told
        assert "Available: bert, bill, bob, cara, dan" in told
        assert "not registered here" not in told


def test_who_registers_without_a_name_is_who_is_here_already(own_house: House) -> None:
    for cli in (own_house.bob, own_house.bob.in_process()):
        for words in (("quickstart",), ("agent", "register"), ("quickstart", "--intent", "again")):
            assert "Agent registered: bob\n" in cli(*words)
    refused = own_house.bob.refused("quickstart", "--role", "lead", "--module", "shop")
    assert "agent bob is registered with role" in refused
    assert "--name for another agent" in refused
    assert own_house.bob("whoami", "--field", "agent_id") == "bob\n"

    own_house.bob("agent", "register", "--name", "bert", "--role", "tester", "--module", "shop")
    assert "Available: bert, bob" in own_house.bob.refused(
        "quickstart", "--role", "tester", "--module", "shop"
    )
