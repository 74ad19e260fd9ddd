"""Three agents with roles, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.testing.harness import Cli, Repo


@dataclass(frozen=True)
class Team:
    """A coordinator in the main worktree and two others in linked ones, with a daemon.

    Attributes:
        main: the main worktree, where coord is.
        impl: where impl_a, an implementer, is.
        test: where test_b, a tester, is.
        cli: typed in the main worktree.
    """

    main: Repo
    impl: Repo
    test: Repo
    cli: Cli

    def template(self, role: str, text: str) -> Path:
        """Write a template of the repository."""
        path = self.main.path / ".thrum" / "role_templates" / f"{role}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def preamble(self, name: str) -> str:
        """The preamble file of an agent; empty when it has none."""
        places = {"coord": self.main, "impl_a": self.impl, "test_b": self.test}
        path = places[name].path / ".thrum" / "context" / f"{name}_preamble.md"
        return path.read_text() if path.exists() else ""
