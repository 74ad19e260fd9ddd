"""The generated pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from thrum_kernel.testing.harness import Cli, Repo, request

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("thrum_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def description(daemon: Cli, repo: Repo) -> Any:
    return request(repo.path / ".thrum" / "var" / "thrum.sock", "rpc.describe")


def stored(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text()


def test_the_page_about_methods_is_current(generate: ModuleType, description: Any) -> None:
    assert generate.rpc_page(description) == stored("rpc.md"), "run `make docs`"


def test_every_method_and_parameter_set_is_described(description: Any) -> None:
    for method in description["methods"]:
        assert method["summary"], method["name"]
        assert method["description"], f"{method['name']}: its parameters have no docstring"


def test_the_page_about_commands_is_current(generate: ModuleType) -> None:
    assert generate.cli_page() == stored("cli.md"), "run `make docs`"


def test_the_page_about_errors_is_current(generate: ModuleType) -> None:
    assert generate.errors_page() == stored("errors.md"), "run `make docs`"
