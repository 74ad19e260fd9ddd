"""A runtime that loses seven in ten of what is typed: every message is seen or has failed by name, in time, none twice.

``make soak`` sends 1,000 messages.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tmux_waking import Town, Waked, town

from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.fake_runtime import reading
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Agent
from thrum_kernel.testing.tmux import TmuxServer

MESSAGES = int(os.environ.get("THRUM_MESSAGES", 1000 if os.environ.get("THRUM_SOAK") else 8))
AGENTS = 4
DEADLINE_S = 30.0
"""In which a message has to be seen or to have failed; the settings below add up to less."""
NAMED = (
    "what is typed does not arrive whole",
    "it does not take Enter; our line stands in its prompt",
    "typed and entered, but nothing shows that it was seen",
    "its screen changes whenever it is typed into",
)


class Round:
    """A message to each agent at once, and what became of it.

    Attributes:
        late: messages of which nothing was known in time.
        states: of each message, its state when that was asked.
    """

    def __init__(self, here: Town, ada: Agent, agents: list[Waked]) -> None:
        self.here = here
        self.ada = ada
        self.agents = agents
        self.late: list[str] = []
        self.states: dict[str, str] = {}
        self.reasons: set[str] = set()

    def play(self, number: int) -> None:
        sent = {self.ada.send(f"message {number}", to=f"@{bob.session}"): bob for bob in self.agents}
        end = time.monotonic() + DEADLINE_S
        waiting = set(sent)

        def settled() -> bool:
            for each in list(waiting):
                found = self.here.delivery(self.ada, each)
                if found["state"] in ("seen", "failed"):
                    waiting.discard(each)
                    self.states[each] = found["state"]
                    self.reasons |= {
                        state["reason"] for state in found["states"] if state["state"] == "failed"
                    }
            return not waiting or time.monotonic() > end

        self.here.kernel.until(settled, limit_s=DEADLINE_S + 10)
        self.late += waiting
        for bob in self.agents:  # so that the next round is about its own message alone
            bob.agent.call("message.list", for_agent=bob.session, mark_shown=True)


def given(bob: Waked) -> list[str]:
    """What the runtime gave its agent, as its transcript tells."""
    path = Path(bob.fake.state()["transcript"])
    if not path.exists():
        return []
    return [entry.text for entry in reading.read(path) if entry.kind == "user"]


def test_a_lossy_runtime_makes_nothing_false_nothing_twice_and_nothing_late(
    repo: Repo, tmux_server: TmuxServer, tmp_path: Path, clock: SettableClock, isolated_home: dict[str, str]
) -> None:
    settings = {
        "storm_wakes": 0,
        "storm_per_minute": 0,
        "dispatch_deadline_seconds": 15,
        "evidence_seconds": 3,
    }
    with (
        town(repo, tmux_server, tmp_path / "fakes", clock, isolated_home, **settings) as here,
        contextlib.ExitStack() as open_,
    ):
        agents = [
            open_.enter_context(here.living(f"bob{number}", drop=0.7, seed=number))
            for number in range(AGENTS)
        ]
        rounds = Round(here, here.kernel.agent("ada"), agents)
        for number in range(MESSAGES // AGENTS):
            rounds.play(number)
        shown = [text for bob in agents for text in given(bob)]

    assert rounds.late == []
    assert rounds.reasons <= set(NAMED)
    times = {each: sum(each in text for text in shown) for each in rounds.states}
    assert {each: count for each, count in times.items() if count > 1} == {}
    assert [each for each, state in rounds.states.items() if state == "seen" and not times[each]] == []
    seen = sum(state == "seen" for state in rounds.states.values())
    print(f"{seen} of {len(rounds.states)} seen, the others failed: {sorted(rounds.reasons)}")
    assert seen > len(rounds.states) / 4
