"""The screens that come with the harness are what their head says they may be."""

from __future__ import annotations

import pytest

from thrum_kernel.testing.screens import parsed, runtimes, screens


def test_every_screen_says_who_owns_it_and_fits_its_window() -> None:
    found = [screen for runtime in runtimes() for screen in screens(runtime)]
    assert len(found) > 80 and {"claude", "codex", "opencode", "shell"} <= set(runtimes())
    for screen in found:
        assert screen.owner in ("prompt", "dialog", "busy", "unknown"), screen.name
        assert (screen.owner == "dialog") == bool(screen.dialog), screen.name
        assert not screen.text or screen.owner == "prompt", screen.name
        assert len(screen.rows) == screen.size[1], screen.name
        assert screen.cursor < screen.size, screen.name


def test_a_screen_with_too_many_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="x/y has more rows than its window"):
        parsed("x", "y", "owner: unknown\nsize: 5 1\n---\na\nb\n")
