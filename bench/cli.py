"""What a command costs beside starting Python: ``whoami``, ``send`` and ``inbox --unread``, the daemon up.

Whole processes, as a shell starts them, of the script that pip and uv install from the wheel, with and without 20
distributions of plugins beside it, against ``python -c pass`` and ``python -IS -c pass`` of the same environment. All
take turns in one run; every figure is a ratio of medians, with the ratio of the fastest runs beside it.

Run: ``python bench/cli.py [--rounds N]``
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 200
PLUGINS = 20
COMMANDS = {
    "whoami": ("whoami",),
    "send": ("send", "hello", "--to", "@bench"),
    "inbox --unread": ("inbox", "--unread"),
}
TARGETS = {"python -c pass": 1.2, "python -IS -c pass": 1.5, "no plugins": 1.05}
BUILD = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"

Times = dict[str, list[float]]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; 1 when one misses its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(argv).rounds
    with tempfile.TemporaryDirectory(prefix="thrum-bench-") as name:
        folder = Path(name)
        wheel = build_wheel(folder)
        misses = 0
        for by in ("pip", "uv"):
            if by == "uv" and uv() is None:
                print("uv is not here: not measured")
                continue
            misses += measure(folder / by, wheel, by=by, rounds=rounds)
    return min(misses, 1)


def measure(folder: Path, wheel: Path, *, by: str, rounds: int) -> int:
    """Install, start a daemon, take the times, print the ratios; gives how many miss their targets."""
    bare, full = (environment(folder / name, wheel, by=by) for name in ("bare", "full"))
    install([dummy_plugin(folder, number) for number in range(PLUGINS)], full, by=by)
    project = repository(folder / "project")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    # The libraries are the ones of this run, given to the daemon only: the measured environment stays bare.
    libraries = {**env, "PYTHONPATH": sysconfig.get_path("purelib")}
    quiet(bare, "init", "--non-interactive", cwd=project, env=libraries)
    try:
        words = ("quickstart", "--name", "bench", "--role", "tester", "--module", "all", "--no-init")
        quiet(bare, *words, cwd=project, env=libraries)
        times = take(bare, full, project, env, rounds)
    finally:
        quiet(bare, "daemon", "stop", cwd=project, env=libraries)
    return report(by, times)


def take(bare: Path, full: Path, project: Path, env: Mapping[str, str], rounds: int) -> Times:
    """Milliseconds of each program in each round."""
    python = str(bare / "bin" / "python")
    programs = {
        "python -c pass": [python, "-c", "pass"],
        "python -IS -c pass": [python, "-IS", "-c", "pass"],
    }
    for name, words in COMMANDS.items():
        programs[name] = [str(bare / "bin" / "thrum"), *words]
        programs[f"{name}, {PLUGINS} plugins"] = [str(full / "bin" / "thrum"), *words]
    times: Times = {name: [] for name in programs}
    os.chdir(project)
    for words in programs.values():
        spawn(words, env)
    for _ in range(rounds):
        for name, words in programs.items():
            times[name].append(spawn(words, env))
    os.chdir(ROOT)
    return times


def spawn(words: list[str], env: Mapping[str, str]) -> float:
    """Run a program to its end; gives milliseconds."""
    null = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    started = time.perf_counter()
    pid = os.posix_spawn(words[0], words, env, file_actions=null)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - started) * 1000
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return took


def report(by: str, times: Times) -> int:
    """Print one installer's figures; gives how many miss."""
    print(f"\ninstalled by {by} ({len(times['python -c pass'])} rounds)")
    for name, taken in times.items():
        print(f"  {name:<28} median {statistics.median(taken):6.2f} ms   fastest {min(taken):6.2f} ms")
    misses = 0
    for name in COMMANDS:
        for base in ("python -c pass", "python -IS -c pass"):
            misses += judge(f"{name} / {base}", times[name], times[base], TARGETS[base])
        plugins = times[f"{name}, {PLUGINS} plugins"]
        misses += judge(f"{name}, {PLUGINS} plugins / none", plugins, times[name], TARGETS["no plugins"])
    return misses


def judge(what: str, taken: list[float], base: list[float], target: float) -> bool:
    """Print one ratio; True when it misses its target."""
    ratio = statistics.median(taken) / statistics.median(base)
    missed = ratio > target
    print(
        f"  {what:<38} {ratio:5.2f} x  (fastest {min(taken) / min(base):5.2f} x)  "
        f"target {target:.2f}{'  MISSED' if missed else ''}"
    )
    return missed


# --- what is measured -------------------------------------------------------------------------------------------------


def build_wheel(folder: Path) -> Path:
    """The kernel's wheel."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return folder / done.stdout.split()[-1]


def environment(folder: Path, wheel: Path, *, by: str) -> Path:
    """A virtual environment as *by* makes it, with the wheel and nothing else."""
    if by == "uv":
        subprocess.run([str(uv()), "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    install([wheel], folder, by=by)
    return folder


def install(wheels: Sequence[Path], venv: Path, *, by: str) -> None:
    """Install wheels without looking anything up."""
    python = str(venv / "bin" / "python")
    if by == "uv":
        words = [str(uv()), "pip", "install", "--python", python, "--offline"]
    else:
        words = [sys.executable, "-m", "pip", "--python", python, "install", "--disable-pip-version-check"]
    subprocess.run([*words, "-q", "--no-deps", "--no-index", *map(str, wheels)], check=True)


def uv() -> str | None:
    """The program uv, where there is one."""
    return shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


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


def repository(folder: Path) -> Path:
    """A git repository with one commit."""
    folder.mkdir()
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    for words in (("init", "-q"), (*identity, "commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def quiet(venv: Path, *words: str, cwd: Path, env: Mapping[str, str]) -> None:
    """Run a command of the installed thrum in process, which prepares and ends what is measured."""
    python = str(venv / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "thrum_kernel", *words],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"thrum {' '.join(words)}: {done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
