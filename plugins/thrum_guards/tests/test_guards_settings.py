"""The modes as config.json has them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from thrum_guards.modes import by_checkpoint
from thrum_guards.settings import CHECKPOINTS, IdentityGuard


def test_dead_owners_are_reclaimed_with_a_warning_and_all_else_is_strict() -> None:
    modes = by_checkpoint(IdentityGuard())

    assert list(modes) == list(CHECKPOINTS)
    assert len(modes) == 8
    assert modes.pop("dead_pid_auto_reclaim") == "warn"
    assert set(modes.values()) == {"strict"}


def test_a_mode_may_be_written_in_any_case() -> None:
    found = by_checkpoint(IdentityGuard.model_validate({"prime_ownership": " Off "}))

    assert found["prime_ownership"] == "off"


@pytest.mark.parametrize("mode", ["loud", "", 3, None, True, ["strict"]])
def test_another_word_is_no_mode(mode: object) -> None:
    with pytest.raises(ValidationError, match="cross_worktree"):
        IdentityGuard.model_validate({"cross_worktree": mode})
