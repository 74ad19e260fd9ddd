"""The rule."""

from __future__ import annotations

from typing import Any

import pytest
from thrum_acme_guard.rule import outside


@pytest.mark.parametrize(
    ("params", "strangers"),
    [
        ({"to": ["@alice"]}, []),
        ({"to": "@alice@laptop"}, []),
        ({"to": ["@alice", "@mallory", "mallory"]}, ["mallory"]),
        ({"mentions": ["@reviewers"]}, []),
        ({"mentions": ["@everyone"]}, ["everyone"]),
        ({}, ["everyone"]),
        ({"reply_to": "msg_1"}, []),
        ({"reply_to": "msg_1", "mentions": ["@mallory"]}, ["mallory"]),
        ({"thread_id": "thr_1"}, []),
    ],
)
def test_who_is_outside(params: dict[str, Any], strangers: list[str]) -> None:
    assert outside(params, {"alice", "reviewers"}) == strangers
