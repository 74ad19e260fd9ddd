"""What a command costs beside starting Python: ``whoami``, ``send`` and ``inbox --unread``, the daemon up.

Whole processes, as a shell starts them, of the script that pip and uv install from the wheels (``make wheels``), with
and without 20 distributions of plugins in the environment, against ``python -c pass`` and ``python -IS -c pass`` of
the same environment. All take turns in one run; every figure is a ratio of medians.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.figure import Effort, Figure
from bench.ground import ROOT, Ground

WHEELHOUSE = ROOT / "dist" / "wheelhouse"
PLUGINS = 20
COMMANDS = {
    "whoami": ("whoami",),
    "send": ("send", "hello", "--to", "@agent1"),
    "inbox --unread": ("inbox", "--unread"),
}
PASS, BARE_PASS = "python -c pass", "python -IS -c pass"
FULL = f", {PLUGINS} plugins"

Times = dict[str, list[float]]


def figures(effort: Effort) -> Iterable[Figure]:
    """Three ratios a command and installer."""
    for by in ("pip", "uv"):
        folder = effort.room(by)
        bare, full = (environment(folder / name, by=by) for name in ("bare", "full"))
        house = effort.room(f"{by}-plugins")
        install([dummy_plugin(house, number) for number in range(PLUGINS)], full, by=by)
        # The measured environments differ in the plugins only: the daemon, which loads them, is that of the bare one.
        program = (str(bare / "bin" / "python"), "-m", "thrum_kernel")
        with Ground(
            effort.room(f"{by}-repository"), agents=2, daemon=program, cli=program, path=None
        ) as ground:
            times = take(ground, bare, full, rounds=effort.count(200, 15))
        yield from judged(by, times)


def take(ground: Ground, bare: Path, full: Path, *, rounds: int) -> Times:
    """Milliseconds of each program in each round."""
    python = str(bare / "bin" / "python")
    programs: dict[str, list[str]] = {PASS: [python, "-c", "pass"], BARE_PASS: [python, "-IS", "-c", "pass"]}
    for name, words in COMMANDS.items():
        programs[name] = [str(bare / "bin" / "thrum"), *words]
        programs[name + FULL] = [str(full / "bin" / "thrum"), *words]
    times: Times = ground.run(0, "stopwatch", rounds, stdin=json.dumps(programs))
    return times


def judged(by: str, times: Times) -> Iterable[Figure]:
    """The ratios of one installer."""
    for name in COMMANDS:
        for base, target in ((PASS, 1.2), (BARE_PASS, 1.5)):
            yield compared(f"`{name}` by {by}, against `{base}`", times[name], times[base], target)
        yield compared(
            f"`{name}` by {by}, {PLUGINS} plugins, against none", times[name + FULL], times[name], 1.05
        )


def compared(name: str, taken: Sequence[float], base: Sequence[float], target: float) -> Figure:
    ours, theirs = statistics.median(taken), statistics.median(base)
    return Figure(
        name=name,
        measured=ours / theirs,
        target=target,
        numbers=f"{ours:.1f} ms against {theirs:.1f} ms; fastest {min(taken):.1f} ms against {min(base):.1f} ms",
    )


# --- what is measured -------------------------------------------------------------------------------------------------


def environment(folder: Path, *, by: str) -> Path:
    """A virtual environment as *by* makes it, with thrum and what it needs from the wheelhouse.

    Raises:
        FileNotFoundError: there is no wheelhouse, or no uv.
    """
    if not WHEELHOUSE.exists():
        raise FileNotFoundError(f"no wheels in {WHEELHOUSE}: run `make wheels`")
    if by == "uv":
        subprocess.run([uv(), "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    else:
        # With a pip of its own: the one of this environment would see what is installed here, and uninstall it.
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install(["thrum"], folder, by=by)
    return folder


def install(what: Sequence[str | Path], venv: Path, *, by: str) -> None:
    """Install from the wheelhouse, or wheels by their paths, and look nothing up elsewhere."""
    python = str(venv / "bin" / "python")
    if by == "uv":
        # Its cache knows wheels by name and version: it would give what was built before under the same ones.
        words = [uv(), "pip", "install", "--python", python, "--offline", "--no-cache"]
    else:
        words = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    words += ["-q", "--no-index", "--find-links", str(WHEELHOUSE)]
    subprocess.run([*words, *map(str, what)], check=True)


def uv() -> str:
    """The program uv."""
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise FileNotFoundError("no uv beside this Python nor on PATH: pip install uv")
    return found


def dummy_plugin(folder: Path, number: int) -> Path:
    """A wheel with one module and an entry point of a plugin."""
    name = f"thrum_dummy{number}"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/plugin.py": "plugin = None\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[thrum.plugins]\ndummy{number} = {name}.plugin:plugin\n",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))
    return path
