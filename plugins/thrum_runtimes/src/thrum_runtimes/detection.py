"""Which runtime is used here: by what lies in the repository, by the environment, by what is installed.

Source: spec/features.md §11.2. The programs are asked for their version all at once, each for three seconds at most.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Literal

from thrum_kernel.api import RuntimePreset
from thrum_runtimes.presets import LOOKED_FOR

PATIENCE_S = 3.0
FALLBACK = "cli-only"

Ask = Callable[[str], str]
"""``(program)`` → what it says to ``--version``; empty when it is not there or says nothing in time."""


@dataclass(frozen=True, slots=True)
class Detected:
    """A runtime that was found.

    Attributes:
        name: of its preset.
        tier: what it was found by; ``default`` when nothing was found.
        source: the marker, variable or program.
    """

    name: str
    tier: Literal["repo", "env", "binary", "default"]
    source: str

    @property
    def is_found(self) -> bool:
        """Whether anything speaks for it."""
        return self.tier != "default"


def ask_version(program: str, *, env: Mapping[str, str]) -> str:
    """What *program*, looked for and run in this environment, says to ``--version``; see `Ask`."""
    path = which(program, path=env.get("PATH", ""))
    if path is None:
        return ""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


def detect(presets: Sequence[RuntimePreset], *, root: Path, env: Mapping[str, str], ask: Ask) -> Detected:
    """The first runtime that something speaks for; what lies in the repository counts before the environment, and
    that before what is installed. Blocks for as long as the slowest program takes.

    Args:
        presets: every runtime known.
        root: of the worktree.
        env: the environment of whoever asks.
        ask: starts the programs; `ask_version` with an environment.
    """
    ordered = in_order(presets)
    return (
        _by_marker(ordered, root)
        or _by_environment(ordered, env)
        or _by_binary(ordered, ask)
        or Detected(FALLBACK, "default", "")
    )


def detect_all(
    presets: Sequence[RuntimePreset], *, root: Path, env: Mapping[str, str]
) -> tuple[Detected, ...]:
    """Every runtime that the repository or the environment speaks for, each once; starts no program."""
    found: dict[str, Detected] = {}
    for preset in in_order(presets):
        one = _by_marker([preset], root) or _by_environment([preset], env)
        if one is not None:
            found[preset.name] = one
    return tuple(found.values())


def in_order(presets: Sequence[RuntimePreset]) -> list[RuntimePreset]:
    """*presets* in the order in which they are looked for; others' after ours."""
    rank = {name: number for number, name in enumerate(LOOKED_FOR)}
    return sorted(presets, key=lambda preset: rank.get(preset.name, len(rank)))


def has_marker(root: Path, marker: str) -> bool:
    """Whether a marker is there; one that ends in a slash must be a folder."""
    path = root / marker
    return path.is_dir() if marker.endswith("/") else path.exists()


def _by_marker(presets: Sequence[RuntimePreset], root: Path) -> Detected | None:
    for preset in presets:
        for marker in preset.markers:
            if has_marker(root, marker):
                return Detected(preset.name, "repo", marker)
    return None


def _by_environment(presets: Sequence[RuntimePreset], env: Mapping[str, str]) -> Detected | None:
    for preset in presets:
        for variable in preset.environment:
            if env.get(variable):
                return Detected(preset.name, "env", variable)
    return None


def _by_binary(presets: Sequence[RuntimePreset], ask: Ask) -> Detected | None:
    asked = [(preset.name, program, words) for preset in presets for program, words in preset.binaries]
    if not asked:
        return None
    with ThreadPoolExecutor(max_workers=len(asked), thread_name_prefix="runtime-version") as pool:
        said = list(pool.map(lambda each: ask(each[1]).lower(), asked))
    for (name, program, words), answer in zip(asked, said, strict=True):
        if any(word.lower() in answer for word in words):
            return Detected(name, "binary", program)
    return None
