"""``guard-daemon.json`` above config.json: read at once, and never passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_guards.modes import effective
from thrum_guards.overlay import Overlay, parse
from thrum_guards.settings import CHECKPOINTS, IdentityGuard

from thrum_kernel.errors import FileDamaged


def overlay_with(path: Path, value: Any) -> Overlay:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return Overlay(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guard-daemon.json"


def test_dead_owners_are_reclaimed_with_a_warning_and_all_else_is_strict() -> None:
    modes = effective(IdentityGuard(), {})

    assert list(modes) == list(CHECKPOINTS)
    assert len(modes) == 8
    assert modes.pop("dead_pid_auto_reclaim") == "warn"
    assert set(modes.values()) == {"strict"}


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
def test_the_overlay_counts_key_by_key(path: Path, wrapped: bool) -> None:
    modes: dict[str, Any] = {"cross_worktree": "warn", "prime_ownership": "Off"}
    overlay = overlay_with(path, {"identity_guard": modes} if wrapped else modes)

    found = effective(
        IdentityGuard.model_validate({"cross_worktree": "off", "unauthenticated_rpc": "warn"}),
        overlay.modes(),
    )
    assert found["cross_worktree"] == "warn"
    assert found["prime_ownership"] == "off"
    assert found["unauthenticated_rpc"] == "warn"
    assert found["non_git_bootstrap"] == "strict"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("", "is no JSON"),
        ("[]", "it is no JSON object"),
        ('"strict"', "it is no JSON object"),
        ('{"identity_guard": []}', "its identity_guard is no JSON object"),
        ('{"cross_worktree": "loud"}', 'cross_worktree: must be strict, warn or off, not "loud"'),
        ('{"cross_worktree": false}', "cross_worktree: must be strict, warn or off, not false"),
        ('{"cross_worktre": "off"}', "cross_worktre: unknown key, did you mean cross_worktree?"),
        ('{"identity_guard": {}, "cross_worktree": "off"}', "cross_worktree: unknown key beside"),
    ],
)
def test_a_file_that_cannot_be_understood_is_an_error(path: Path, text: str, told: str) -> None:
    overlay = overlay_with(path, text)

    for _ in range(2):
        with pytest.raises(FileDamaged) as caught:
            overlay.modes()
        assert told in str(caught.value)
        assert str(path) in str(caught.value)


def test_every_mistake_is_named_at_once(path: Path) -> None:
    with pytest.raises(FileDamaged) as caught:
        overlay_with(path, {"cross_worktree": 3, "nonsense": "off"}).modes()

    assert "cross_worktree:" in str(caught.value)
    assert "nonsense:" in str(caught.value)


def test_it_is_read_again_whenever_it_changed(path: Path) -> None:
    overlay = Overlay(path)
    assert overlay.modes() == {}
    path.write_text('{"cross_worktree": "warn"}')
    assert overlay.modes() == {"cross_worktree": "warn"}
    path.write_text('{"cross_worktree": "wa')
    with pytest.raises(FileDamaged):
        overlay.modes()
    path.write_text('{"cross_worktree": "off"}')
    assert overlay.modes() == {"cross_worktree": "off"}
    path.unlink()
    assert overlay.modes() == {}


def test_a_folder_in_its_place_is_an_error(path: Path) -> None:
    path.mkdir()

    with pytest.raises(FileDamaged, match="cannot be read"):
        Overlay(path).modes()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["strict", "warn", "off", ""])
        | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*CHECKPOINTS, "identity_guard"]) | st.text(), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_gives_modes_or_an_error(value: Any) -> None:
    try:
        modes = parse(Path("guard-daemon.json"), value)
    except FileDamaged:
        return
    assert set(modes) <= set(CHECKPOINTS)
    assert set(modes.values()) <= {"strict", "warn", "off"}
