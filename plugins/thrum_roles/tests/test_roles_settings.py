"""Answers: what is taken, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from thrum_roles.settings import RoleConfig, given, stored

from thrum_kernel.errors import UsageError


def test_given_takes_the_whole_section() -> None:
    value = {
        "schema_version": 1,
        "plugin_version": "0.11.0",
        "configured_at": "2026-01-01T00:00:00.000000Z",
        "roles": {"implementer": {"autonomy": "strict", "scope": "module", "rendered_hash": "a" * 64}},
    }

    assert given(value).plain() == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rolls": {}}, 'unknown key "rolls"'),
        ({"roles": {"tester": {"autonomy": "strict", "x": 1}}}, 'unknown key "roles.tester.x"'),
        ({"roles": {"Te/ster": {}}}, "roles.Te/ster"),
        ({"roles": {"tester": {"autonomy": "../x"}}}, "roles.tester.autonomy"),
        ({"roles": {"tester": {"scope": "a\nb"}}}, "roles.tester.scope: must be one line"),
        ({"roles": {"tester": {"rendered_hash": "abc"}}}, "roles.tester.rendered_hash"),
        ({"schema_version": "one"}, "schema_version"),
        ({"roles": []}, "roles"),
    ],
)
def test_given_refuses_what_it_does_not_know_and_names_it(value: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as told:
        given(value)

    assert said in str(told.value)


def test_given_tells_every_mistake_at_once() -> None:
    with pytest.raises(UsageError, match=r'unknown key "a".*unknown key "b"'):
        given({"a": 1, "b": 2})


def test_stored_reads_what_others_wrote_and_never_fails() -> None:
    assert not stored({}).is_saved
    assert not stored({"role_config": {"roles": 7}}).is_saved
    later = stored({"role_config": {"schema_version": 2, "later": True, "roles": {"x": {"mood": "good"}}}})
    assert later.is_saved and later.schema_version == 2
    assert later.plain()["later"] is True, "keys of a later version are kept"


def test_an_empty_section_counts_as_not_saved() -> None:
    assert not RoleConfig().is_saved
