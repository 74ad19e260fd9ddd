"""The generated pages say what the code says."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from thrum_kernel.plugins import hookspecs
from thrum_kernel.plugins.hookspecs import HOOKS
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


def test_the_readme_leads_to_every_page_and_nowhere_else() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text()))
    assert linked == {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")}


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


def test_the_page_about_hooks_is_current(generate: ModuleType) -> None:
    assert generate.hooks_page() == stored("hooks.md"), "run `make docs`"


def test_every_hook_is_documented_and_called_as_it_says() -> None:
    declared = [name for name in vars(hookspecs) if name.startswith("thrum_")]

    assert list(HOOKS) == declared, "HOOKS lists every hookspec, in the order of the module"
    for hook in HOOKS.values():
        function = getattr(hookspecs, hook.name)
        text = inspect.getdoc(function) or ""
        assert "Called " in text, f"{hook.name} does not say when it is called, and by whom"
        assert "fail" in text.lower(), f"{hook.name} does not say what happens when it fails"
        assert inspect.iscoroutinefunction(function) == (hook.colour == "decides"), hook.name
        for argument in inspect.signature(function).parameters.values():
            assert argument.annotation is not inspect.Parameter.empty, f"{hook.name}: {argument}"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_caller_and_a_test(hook: str) -> None:
    """A hook arrives with its first caller; what is not tested is not promised."""
    kernel = [path for path in (ROOT / "thrum_kernel").rglob("*.py") if path.name not in NO_CALLERS]
    tests = [path for folder in ("tests", "plugins") for path in (ROOT / folder).rglob("test_*.py")]

    assert any(f'"{hook}"' in path.read_text() for path in kernel), f"nothing calls {hook}"
    assert any(re.search(rf"def {hook}\b", path.read_text()) for path in tests), f"no test implements {hook}"


NO_CALLERS = ("hookspecs.py", "scaffold.py", "conformance.py", "failing_kernel.py")
"""Modules that name hooks without calling them."""
