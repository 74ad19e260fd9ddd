"""A kernel in this process whose agents live in panes with the fake runtime."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmux_wake import in_shell

from thrum_kernel.api import Clock
from thrum_kernel.testing.fake_runtime.driver import FakeRuntime, add_plugin
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Agent, Kernel, running
from thrum_kernel.testing.tmux import TmuxServer

NUDGE = {
    "chrome_quiet_seconds": 0.05,
    "dispatch_deadline_seconds": 4,
    "evidence_seconds": 4,
    "hook_deadline_seconds": 0.5,
}
"""Seconds as a test has them."""


@dataclass(slots=True)
class Waked:
    """An agent in a pane.

    Attributes:
        agent: as the kernel knows it.
        fake: its runtime.
        session: name of its session.
    """

    agent: Agent
    fake: FakeRuntime
    session: str

    def submitted(self) -> list[str]:
        """The prompts that its runtime took."""
        return [str(each) for each in self.fake.state()["submitted"]]

    def shown(self, message_id: str) -> int:
        """How often a message was put to it."""
        return sum(message_id in each for each in self.submitted())


@dataclass(slots=True)
class Town:
    """Kernel, tmux, and who lives there."""

    kernel: Kernel
    tmux: TmuxServer
    folder: Path

    @contextlib.contextmanager
    def living(self, name: str, *, role: str = "implementer", **options: object) -> Iterator[Waked]:
        """An agent in a pane, registered and with an open session."""
        agent = self.kernel.agent(name, role=role)
        fake = FakeRuntime(self.folder / name, **options)
        self._session(name, str(agent.repo.path), in_shell(fake))
        try:
            fake.connect()
            yield Waked(agent, fake, name)
        finally:
            self.tmux.run("kill-session", "-t", f"={name}")
            fake.close()

    def _session(self, name: str, cwd: str, command: str) -> None:
        self.tmux("new-session", "-d", "-s", name, "-x", "110", "-y", "30", "-c", cwd, command)
        thrum = str(self.kernel.repo.path / ".thrum")
        for option, value in (("managed", "1"), ("thrum-dir", thrum), ("agent", name)):
            self.tmux("set-option", "-t", name, f"@thrum-{option}", value)

    def delivery(self, sender: Agent, message_id: str) -> dict[str, Any]:
        """The one delivery of a message, as its sender sees it."""
        found = sender.call("message.get", message_id=message_id)["message"]["recipients"]
        return dict(found[0])

    def becomes(self, sender: Agent, message_id: str, *states: str, limit_s: float = 30.0) -> dict[str, Any]:
        """Wait until a delivery is in one of *states*; gives it."""
        found: dict[str, Any] = {}

        def holds() -> bool:
            found.update(self.delivery(sender, message_id))
            return found["state"] in states

        try:
            self.kernel.until(holds, limit_s=limit_s)
        except AssertionError:
            raise AssertionError(f"never {states}: {found}") from None
        return found


@contextlib.contextmanager
def town(
    repo: Repo, tmux: TmuxServer, folder: Path, clock: Clock, env: Mapping[str, str], **nudge: object
) -> Iterator[Town]:
    """A kernel that wakes on the test's own tmux server; again over one *repo*, it is the next start."""
    config = repo.path / ".thrum" / "config.json"
    if not config.exists():
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps({"tmux": {"socket": str(tmux.path)}, "nudge": {**NUDGE, **nudge}}))
        add_plugin(repo)
    with running(repo, clock=clock, env={"THRUM_PLUGINS_STRICT": "1", **env}) as kernel:
        yield Town(kernel, tmux, folder)
