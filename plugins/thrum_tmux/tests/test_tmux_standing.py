"""Who may have sessions made and started."""

from __future__ import annotations

from pathlib import Path

import pytest
from thrum_tmux.session.standing import check_standing

from thrum_kernel.api import Caller
from thrum_kernel.errors import Refused

HERE, THERE = Path("/shop"), Path("/worktrees/shop/auth")


@pytest.mark.parametrize(
    "caller",
    [
        Caller(kind="agent", agent_id="alice", worktree=HERE, runtime_pid=7),
        Caller(kind="anonymous", worktree=HERE),
        Caller(kind="anonymous", worktree=THERE, runtime_pid=7),
    ],
    ids=["an agent", "a person of the project", "a runtime where it stands"],
)
def test_who_may(caller: Caller) -> None:
    check_standing(caller, THERE)


@pytest.mark.parametrize(
    "caller",
    [Caller(kind="anonymous", worktree=HERE, runtime_pid=7), Caller(kind="anonymous")],
    ids=["a runtime that is no agent", "somebody from nowhere"],
)
def test_who_may_not(caller: Caller) -> None:
    with pytest.raises(Refused, match=f"{THERE} is not the worktree you stand in"):
        check_standing(caller, THERE)
