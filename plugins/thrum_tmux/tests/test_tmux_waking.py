"""Messages wake agents in real panes, and what is said of a delivery is what was proven."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tmux_waking import Town, town

from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.tmux import TmuxServer

Open = Callable[..., AbstractContextManager[Town]]


@pytest.fixture
def open_town(
    repo: Repo, tmux_server: TmuxServer, tmp_path: Path, clock: SettableClock, isolated_home: dict[str, str]
) -> Iterator[Open]:
    def opened(**nudge: object) -> AbstractContextManager[Town]:
        return town(repo, tmux_server, tmp_path / "fakes", clock, isolated_home, **nudge)

    yield opened


def test_a_message_is_typed_entered_and_seen_in_the_transcript(open_town: Open) -> None:
    with open_town() as here, here.living("bob") as bob:
        ada = here.kernel.agent("ada")
        sent = ada.send("hello", to="@bob")

        def states() -> list[tuple[str, str]]:
            states = here.delivery(ada, sent)["states"]
            return [(each["state"], each.get("means", "")) for each in states]

        wanted = [("stored", ""), ("injected", "tmux"), ("seen", "transcript:fake-agent")]
        here.kernel.until(lambda: states() == wanted)
        assert bob.submitted() == [f"New message from @ada ({sent}) -- run: thrum inbox"]
        assert bob.agent.call("message.list", for_agent="bob", unread=True)["total"] == 1, "seen is not read"


def test_a_program_called_claude_is_read_and_proven_by_the_preset_of_claude(open_town: Open) -> None:
    pytest.importorskip("thrum_runtimes")
    with open_town() as here, here.living("bob", process="claude", placeholder='Try "fix the tests"') as bob:
        ada = here.kernel.agent("ada")
        bob.fake.dialog("tool_confirmation")
        sent = ada.send("hello", to="@bob")
        here.kernel.until(lambda: bob.fake.state()["owner"] == "dialog")
        bob.fake.dialog("")
        here.becomes(ada, sent, "seen")
        here.kernel.until(lambda: "transcript:claude" in str(here.delivery(ada, sent)["states"]))
        assert bob.submitted() == [f"New message from @ada ({sent}) -- run: thrum inbox"]


def test_many_get_one_line_and_only_the_one_that_is_shown_is_seen(open_town: Open) -> None:
    with open_town(dispatch_deadline_seconds=0.5) as here, here.living("bob") as bob:
        ada = here.kernel.agent("ada")
        bob.fake.draft("half a tho")
        first, second, third = (ada.send(text, to="@bob") for text in ("one", "two", "three"))
        here.becomes(ada, third, "failed")
        assert bob.submitted() == []
        bob.fake.draft("")

        here.becomes(ada, third, "seen")

        assert bob.submitted() == [f"New message from @ada ({third}) (+2) -- run: thrum inbox"]
        assert {here.delivery(ada, each)["state"] for each in (first, second)} == {"failed"}


def test_a_dialog_fails_the_wake_with_its_name_until_it_is_gone(open_town: Open) -> None:
    with open_town(dispatch_deadline_seconds=0.3) as here, here.living("bob") as bob:
        ada = here.kernel.agent("ada")
        bob.fake.dialog("tool_confirmation")
        sent = ada.send("hello", to="@bob")

        found = here.becomes(ada, sent, "failed")

        assert found["states"][-1]["reason"] == "a dialog waits for an answer: tool_confirmation"
        assert bob.fake.state()["taken"] == []
        bob.fake.dialog("")
        here.becomes(ada, sent, "seen")
        assert bob.shown(sent) == 1


def test_what_was_typed_but_never_shown_has_failed_and_is_not_typed_again(open_town: Open) -> None:
    with open_town(evidence_seconds=0.3) as here, here.living("bob") as bob:
        bob.fake.order("set", keeps_transcript=False)
        ada = here.kernel.agent("ada")
        sent = ada.send("hello", to="@bob")

        found = here.becomes(ada, sent, "failed")

        told = {each["state"]: each.get("reason", "") for each in found["states"]}
        unproven = "typed and entered, but nothing shows that it was seen"
        assert told == {"stored": "", "injected": "", "failed": unproven}
        assert bob.shown(sent) == 1


def test_an_agent_that_reads_meanwhile_gets_no_line(open_town: Open) -> None:
    with open_town() as here, here.living("bob") as bob:
        ada = here.kernel.agent("ada")
        bob.fake.draft("half a tho")
        sent = ada.send("hello", to="@bob")
        bob.agent.call("message.list", for_agent="bob", mark_shown=True)
        bob.fake.draft("")

        assert here.becomes(ada, sent, "read")["state"] == "read"
        later = ada.send("and this", to="@bob")
        here.becomes(ada, later, "seen")
        assert (bob.shown(sent), bob.shown(later)) == (0, 1)


def test_what_is_unread_is_woken_for_after_a_restart(open_town: Open) -> None:
    with contextlib.ExitStack() as staying:
        with open_town(dispatch_deadline_seconds=0.3) as here:
            bob = staying.enter_context(here.living("bob"))
            bob.fake.dialog("trust")
            ada = here.kernel.agent("ada")
            sent = ada.send("hello", to="@bob")
            here.becomes(ada, sent, "failed")
        bob.fake.dialog("")
        with open_town() as again:
            again.becomes(dataclasses.replace(ada, kernel=again.kernel), sent, "seen")
        assert bob.shown(sent) == 1


def test_a_low_message_and_one_to_an_agent_without_a_pane_type_nothing(open_town: Open) -> None:
    with open_town() as here, here.living("bob") as bob:
        ada, carol = here.kernel.agent("ada"), here.kernel.agent("carol")
        low = ada.call("message.send", content="some day", to="@bob", priority="low")["message_id"]
        alone = ada.send("hello", to="@carol")
        normal = ada.send("now", to="@bob")
        here.becomes(ada, normal, "seen")
        assert (bob.shown(low), bob.shown(normal)) == (0, 1)
        assert here.delivery(carol, alone)["state"] == "stored"


def test_an_agent_that_never_reads_is_left_alone_and_the_coordinator_told(open_town: Open) -> None:
    with open_town(storm_wakes=2) as here, here.living("bob") as bob:
        ada, boss = here.kernel.agent("ada"), here.kernel.agent("boss", role="coordinator")
        for text in ("one", "two"):
            here.becomes(ada, ada.send(text, to="@bob"), "seen")
        third = ada.send("three", to="@bob")

        found = here.becomes(ada, third, "failed")

        assert found["states"][-1]["reason"] == "storm: it was woken 2 times without reading anything"
        here.kernel.until(lambda: boss.inbox())
        assert boss.inbox()[0].endswith("thrum tmux status, and look at it with thrum tmux capture")
        assert boss.inbox()[0].startswith("@bob is not woken any more for 15 minutes (it was woken 2 times")
        assert bob.agent.inbox() == ["one", "two", "three"] and bob.shown(third) == 0


def test_a_shell_gets_the_line_as_a_comment(open_town: Open) -> None:
    with open_town() as here:
        ada, bob = here.kernel.agent("ada"), here.kernel.agent("bob")
        here._session("bob", str(bob.repo.path), "PS1='$ ' exec bash --norc -i")
        bob.call("agent.setTerminal", name="bob", runtime="shell")
        here.tmux.shows("bob", lambda rows: rows[0] == "$")
        sent = ada.send("hello", to="@bob")
        rows = here.tmux.shows("bob", lambda rows: (here.kernel.run(_nothing()), rows[1] == "$")[1])
        assert rows[0] == f"$ # New message from @ada ({sent}) -- run: thrum inbox"
        here.tmux("kill-session", "-t", "=bob")


async def _nothing() -> None:
    import asyncio

    await asyncio.sleep(0.02)


def test_a_worker_whose_terminal_is_silent_is_asked_once_more_and_no_more(open_town: Open) -> None:
    settings = {"working_idle_seconds": 0.5, "working_idle_times": 1}
    with open_town(**settings) as here, here.living("bob") as bob, here.living("carol") as carol:
        carol.fake.dialog("tool_confirmation")
        for each in (bob, carol):
            each.agent.call("agent.set-status", agent=each.session, status="working")

        here.kernel.until(lambda: bob.submitted())

        (asked,) = bob.agent.inbox()
        assert asked.startswith("Your status is working, but your terminal has shown nothing for")
        assert bob.submitted()[0].startswith("New message from @tmux:wake (msg_")
        ada = here.kernel.agent("ada")
        here.becomes(ada, ada.send("later", to="@bob"), "seen")
        assert len(bob.agent.inbox()) == 2 and carol.agent.inbox() == [], (
            "who waits for an answer is not asked"
        )
