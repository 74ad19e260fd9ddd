"""How the program is started: its arguments, each with a default from the environment (``FAKE_AGENT_<NAME>``)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.testing.fake_runtime.drops import KINDS
from thrum_kernel.testing.fake_runtime.face import FACES, Face


@dataclass(frozen=True, slots=True)
class Options:
    """What can be asked of it.

    Attributes:
        control: Unix socket to steer it by; None without one.
        record: file that every keystroke is written to; None without one.
        settings: the file that names its hooks.
        process: what its process is called, where the system lets it choose: with the name of a runtime it is that runtime.
        on_prompt: a shell command that it runs as a tool for every prompt; empty for none. It finds the prompt in
            ``PROMPT``.
        busy_s: how long it works for a prompt.
        start_s: how long it takes to start; what is typed meanwhile is lost.
        queues: it shows its prompt box and takes input while it works.
        paste_s: an Enter that comes so soon after a run of text is part of that text.
        drop, drops, seed: see `drops.Drops`.
        face: how it looks.
        placeholder: what an empty prompt box says.
        truth: let the window's title say how things stand (`face.Scene.truth`).
    """

    control: Path | None
    record: Path | None
    settings: Path
    process: str = "fake-agent"
    on_prompt: str = ""
    busy_s: float = 0.0
    start_s: float = 0.0
    queues: bool = True
    paste_s: float = 0.02
    drop: float = 0.0
    drops: tuple[str, ...] = KINDS
    seed: int = 0
    face: Face = "rule"
    placeholder: str = ""
    truth: bool = False


def parsed(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Options:
    """The options that these arguments and this environment give; exits with a message when they are wrong."""
    parser = argparse.ArgumentParser(prog="fake-agent", description="A full-screen agent for tests of thrum.")

    def option(name: str, default: str, **how: object) -> None:
        value = env.get(f"FAKE_AGENT_{name.upper().replace('-', '_')}", default)
        parser.add_argument(f"--{name}", default=value, **how)  # type: ignore[arg-type]

    option("control", "", metavar="SOCKET")
    option("record", "", metavar="FILE")
    option("settings", str(cwd / ".claude" / "settings.json"), metavar="FILE")
    option("process", "fake-agent")
    option("on-prompt", "", metavar="COMMAND")
    option("busy", "0", type=float, metavar="SECONDS")
    option("start", "0", type=float, metavar="SECONDS")
    option("queues", "1", choices=("0", "1"))
    option("paste", "0.02", type=float, metavar="SECONDS")
    option("drop", "0", type=float, metavar="RATE")
    option("drops", ",".join(KINDS), metavar="KINDS")
    option("seed", "0", type=int)
    option("face", "rule", choices=FACES)
    option("placeholder", "")
    option("truth", "0", choices=("0", "1"))
    found = parser.parse_args(argv)
    return Options(
        control=Path(found.control) if found.control else None,
        record=Path(found.record) if found.record else None,
        settings=Path(found.settings),
        process=found.process,
        on_prompt=found.on_prompt,
        busy_s=found.busy,
        start_s=found.start,
        queues=found.queues == "1",
        paste_s=found.paste,
        drop=found.drop,
        drops=tuple(filter(None, found.drops.split(","))),
        seed=found.seed,
        face=found.face,
        placeholder=found.placeholder,
        truth=found.truth == "1",
    )
