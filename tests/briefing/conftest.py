"""Tests of the briefing."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("briefing_terminal")
