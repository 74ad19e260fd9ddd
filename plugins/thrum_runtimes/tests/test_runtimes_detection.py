"""Detection by marker, environment and binary."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import pytest
from thrum_runtimes.detection import Detected, ask_version, detect, detect_all
from thrum_runtimes.presets import BUILT_IN

from thrum_kernel.api import RuntimePreset


def nobody(program: str) -> str:
    return ""


def program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        (".claude/settings.json", "claude"),
        (".cursorrules", "cursor"),
        (".codex/", "codex"),
        ("opencode.json", "opencode"),
        (".gemini/", "gemini"),
        (".augment/", "auggie"),
        (".kiro/", "kiro-cli"),
    ],
)
def test_a_marker_in_the_repository_tells(tmp_path: Path, marker: str, name: str) -> None:
    if marker.endswith("/"):
        (tmp_path / marker).mkdir()
    else:
        (tmp_path / marker).parent.mkdir(exist_ok=True)
        (tmp_path / marker).write_text("{}")
    found = detect(BUILT_IN, root=tmp_path, env={"GEMINI_CLI": "1"}, ask=nobody)
    assert (found.name, found.tier, found.source) == (name, "repo", marker)


def test_a_folder_marker_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".codex").write_text("")
    assert detect(BUILT_IN, root=tmp_path, env={}, ask=nobody) == Detected("cli-only", "default", "")


def test_the_earlier_runtime_of_two_is_taken_and_both_are_listed(tmp_path: Path) -> None:
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".cursor").mkdir()
    assert detect(BUILT_IN, root=tmp_path, env={}, ask=nobody).name == "cursor"
    found = detect_all(BUILT_IN, root=tmp_path, env={"CLAUDE_SESSION_ID": "x"})
    assert [each.name for each in found] == ["claude", "cursor", "gemini"]


def test_the_environment_counts_before_programs(tmp_path: Path) -> None:
    found = detect(BUILT_IN, root=tmp_path, env={"AUGMENT_AGENT": "1"}, ask=lambda name: "claude codex")
    assert found == Detected("auggie", "env", "AUGMENT_AGENT")


def test_a_program_counts_by_what_it_says(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    program(bin_, "claude", "echo something else")
    program(bin_, "agent", "echo 'Cursor Agent 1.2' >&2")
    env = {"PATH": f"{bin_}:/usr/bin:/bin"}
    found = detect(BUILT_IN, root=tmp_path, env=env, ask=functools.partial(ask_version, env=env))
    assert found == Detected("cursor", "binary", "agent")


def test_programs_that_hang_cost_their_patience_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from thrum_runtimes import detection

    monkeypatch.setattr(detection, "PATIENCE_S", 0.5)
    for name in ("claude", "codex", "gemini", "auggie", "amp", "opencode"):
        program(tmp_path / "bin", name, "exec sleep 30")
    program(tmp_path / "bin", "kiro-cli", "echo kiro 1")
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    start = time.monotonic()
    found = detect(BUILT_IN, root=tmp_path, env=env, ask=functools.partial(ask_version, env=env))
    assert found == Detected("kiro-cli", "binary", "kiro-cli")
    assert time.monotonic() - start < 6 * 0.5 + 15  # they were not waited for to their end


def test_a_runtime_of_a_plugin_comes_after_ours(tmp_path: Path) -> None:
    acme = RuntimePreset(name="acme", display_name="Acme", command="acme", markers=(".acme/", ".codex/"))
    (tmp_path / ".acme").mkdir()
    assert detect((acme, *BUILT_IN), root=tmp_path, env={}, ask=nobody).name == "acme"
    (tmp_path / ".codex").mkdir()
    assert detect((acme, *BUILT_IN), root=tmp_path, env={}, ask=nobody).name == "codex"
