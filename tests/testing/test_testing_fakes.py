"""A plugin that reaches outside, tested without an outside: the fakes say what it did and bring in what comes."""

from __future__ import annotations

import asyncio

import bridge_plugin
import pytest
from bridge_plugin import Outside

from thrum_kernel.testing.kernel import Agent, Kernel
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.terminal import FakeTerminal, PaneGone, Typed
from thrum_kernel.testing.transport import FakeTransport, TransportDown


@pytest.fixture
def outside(site: Site, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """The bridge is installed; this is what it reaches."""
    site.install("bridge", has_hooks=False, manifest=bridge_plugin.MANIFEST)
    made = Outside()
    monkeypatch.setattr(bridge_plugin, "outside", made)
    return made


def test_a_message_goes_out_and_an_answer_comes_in(outside: Outside, kernel: Kernel) -> None:
    ada = kernel.agent("ada")

    ada.send("is anybody there?", to="@everyone")
    kernel.until(lambda: outside.transport.sent)
    outside.transport.inject("Grace", "yes", reference="17")
    kernel.until(lambda: ada.inbox())

    assert outside.transport.texts("team") == ["@ada: is anybody there?"]
    assert ada.inbox() == ["Grace: yes"]


def test_what_comes_twice_is_one_message(outside: Outside, kernel: Kernel) -> None:
    ada = kernel.agent("ada")

    for _ in range(2):
        outside.transport.inject("Grace", "yes", reference="17")
    outside.transport.inject("Grace", "and now?")
    kernel.until(lambda: len(ada.inbox()) > 1)

    assert ada.inbox() == ["Grace: yes", "Grace: and now?"]


def test_an_outage_loses_nothing(outside: Outside, kernel: Kernel) -> None:
    ada = kernel.agent("ada")
    outside.transport.is_down = True
    ada.send("kept", to="@everyone")
    outside.transport.inject("Grace", "kept, too")
    kernel.until(lambda: kernel.daemon.plugged.rows()[0].troubles)
    assert not outside.transport.sent and not ada.inbox()

    outside.transport.is_down = False

    kernel.until(lambda: outside.transport.sent and ada.inbox())
    assert outside.transport.texts("team") == ["@ada: kept"]
    assert ada.inbox() == ["Grace: kept, too"]


def test_a_recipient_is_woken_in_its_pane_and_the_evidence_is_what_the_pane_shows(
    outside: Outside, kernel: Kernel
) -> None:
    ada = kernel.agent("ada")
    kernel.agent("bob")
    outside.terminal.open("bob:0.0", answer=lambda line: "reading" if "message get" in line else "what?")

    sent = ada.send("look", to="@bob")

    kernel.until(lambda: "injected" in facts(ada, sent))
    assert outside.terminal.lines("bob:0.0") == [f"thrum message get {sent}"]
    assert "seen" not in facts(ada, sent), "typing into a pane proves nothing about who looks at it"


def test_a_pane_that_is_gone_is_told_as_a_failed_wake(outside: Outside, kernel: Kernel) -> None:
    ada = kernel.agent("ada")
    kernel.agent("bob")

    sent = ada.send("look", to="@bob")

    kernel.until(lambda: "failed" in facts(ada, sent))
    assert facts(ada, sent)["failed"] == "no pane bob:0.0"
    assert not outside.terminal.typed


def facts(sender: Agent, message_id: str) -> dict[str, str]:
    """How far a message came with its recipient: the states with their reasons."""
    (shown,) = [
        each for each in sender.call("message.outbox")["messages"] if each["message_id"] == message_id
    ]
    (recipient,) = shown["recipients"]
    return {state["state"]: state.get("reason", "") for state in recipient["states"]}


# --- the fakes themselves --------------------------------------------------------------------------------------------


def test_a_terminal_gives_lines_to_its_program_when_enter_is_pressed() -> None:
    async def drive() -> str:
        await terminal.type("t:0.0", "hel")
        await terminal.type("t:0.0", "lo")
        before = await terminal.capture("t:0.0")
        await terminal.press("t:0.0", "Escape", "Enter")
        return before

    terminal = FakeTerminal()
    terminal.open("t:0.0", answer=lambda line: f"you said {line}\nand?", screen="ready")

    before = asyncio.run(drive())
    terminal.show("t:0.0", "done")

    assert before == "ready\nhello"
    assert asyncio.run(terminal.capture("t:0.0")) == "ready\nhello\nyou said hello\nand?\ndone"
    assert asyncio.run(terminal.capture("t:0.0", lines=2)) == "and?\ndone"
    assert terminal.lines("t:0.0") == ["hello"]
    assert terminal.typed[2] == Typed("t:0.0", "key", "Escape")


def test_a_closed_pane_takes_nothing_and_what_was_typed_is_remembered() -> None:
    terminal = FakeTerminal()
    terminal.open("t:0.0")
    asyncio.run(terminal.type("t:0.0", "half a li"))

    terminal.close("t:0.0")

    assert asyncio.run(terminal.panes()) == ()
    assert terminal.lines("t:0.0") == ["half a li"]
    with pytest.raises(PaneGone, match=r"t:0\.0"):
        asyncio.run(terminal.type("t:0.0", "ne"))


def test_a_transport_that_is_down_refuses_both_ways_and_keeps_what_waits() -> None:
    transport = FakeTransport()
    waiting = transport.inject("Grace", "hello")
    transport.is_down = True

    with pytest.raises(TransportDown):
        asyncio.run(transport.send("team", "hello"))
    with pytest.raises(TransportDown):
        asyncio.run(transport.receive())

    transport.is_down = False
    assert not transport.is_drained
    assert asyncio.run(transport.receive()) == waiting
    assert transport.is_drained
    assert asyncio.run(transport.send("team", "again")) == transport.sent[0].reference
