"""One finding at a time, the most basic first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from thrum_roles.drift import BODY_DIFF, MIGRATION, SCHEMA_BUMP, drift
from thrum_roles.settings import RoleAnswers, RoleConfig
from thrum_roles.shipped import Catalogue, made_of

NAMES = ["alpha", "beta", "gamma"]


def shipped(version: int = 1, **bodies: str) -> Catalogue:
    return made_of(
        [
            (f"{role}-strict", f"---\nschema_version: {version}\n---\n{bodies.get(role, role)}")
            for role in NAMES
        ]
    )


def config(version: int = 1, **hashes: str | None) -> RoleConfig:
    roles = {role: RoleAnswers(autonomy="strict", rendered_hash=value) for role, value in hashes.items()}
    return RoleConfig(schema_version=version, configured_at="2026-01-01T00:00:00.000000Z", roles=roles)


def hash_of(texts: Catalogue, role: str) -> str:
    found = texts.find(role, "strict")
    assert found is not None
    return found.hash


def test_templates_without_answers_are_a_migration() -> None:
    found = drift(RoleConfig(), ["beta", "alpha"], shipped())

    assert found is not None
    assert (found.code, found.roles) == (MIGRATION, ("alpha", "beta"))


def test_nothing_at_all_is_no_drift() -> None:
    assert drift(RoleConfig(), [], shipped(version=9)) is None


def test_a_newer_shape_is_a_schema_bump() -> None:
    found = drift(config(1, alpha="0" * 64), ["alpha"], shipped(version=2))

    assert found is not None
    assert found.code == SCHEMA_BUMP


def test_an_older_shape_than_saved_is_none() -> None:
    texts = shipped(version=1)

    assert drift(config(5, alpha=hash_of(texts, "alpha")), ["alpha"], texts) is None


def test_another_text_is_a_body_diff_of_those_roles_only() -> None:
    old, new = shipped(), shipped(beta="new")
    saved = config(1, **{role: hash_of(old, role) for role in NAMES})

    assert drift(saved, NAMES, old) is None
    found = drift(saved, NAMES, new)
    assert found is not None
    assert (found.code, found.roles) == (BODY_DIFF, ("beta",))


def test_a_role_that_was_never_written_or_is_not_shipped_does_not_drift() -> None:
    saved = config(1, alpha=None)
    own = saved.model_copy(update={"roles": {"own": RoleAnswers(rendered_hash="0" * 64)}})

    assert drift(saved, [], shipped()) is None
    assert drift(own, ["own"], shipped()) is None


@given(
    saved=st.booleans(),
    on_disk=st.sets(st.sampled_from(NAMES)),
    saved_version=st.integers(1, 3),
    shipped_version=st.integers(1, 3),
    changed=st.sets(st.sampled_from(NAMES)),
    answered=st.sets(st.sampled_from(NAMES), min_size=1),
)
def test_precedence(
    saved: bool,
    on_disk: set[str],
    saved_version: int,
    shipped_version: int,
    changed: set[str],
    answered: set[str],
) -> None:
    before = shipped(saved_version)
    after = shipped(shipped_version, **dict.fromkeys(changed, "changed"))
    answers = (
        config(saved_version, **{role: hash_of(before, role) for role in answered}) if saved else RoleConfig()
    )
    applies = [
        code
        for code, holds in (
            (MIGRATION, not saved and bool(on_disk)),
            (SCHEMA_BUMP, saved and shipped_version > saved_version),
            (BODY_DIFF, saved and bool(changed & answered)),
        )
        if holds
    ]

    found = drift(answers, on_disk, after)

    assert (None if found is None else found.code) == (applies[0] if applies else None)
