"""Which stories are told: those asked for, else a few, else the number that the issue names."""

from __future__ import annotations

import os

import pytest

FEW, ALL = 25, 500


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    asked: list[int] = metafunc.config.getoption("--seed")
    count: int = metafunc.config.getoption("--seeds")
    usual = ALL if os.environ.get("THRUM_SOAK") == "1" else FEW
    metafunc.parametrize("seed", asked or range(count or usual))
