"""Kills a kernel at the n-th thing it does to the disk or starts, starts another one, and says what is wrong then.

``python worktrees_crashes.py FOLDER SCENARIO STEP…`` prints a JSON line a step: ``{"step", "reached", "problems"}``. A
program of its own, for a process that forks must have no threads. Step 0 is never reached: it counts them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thrum_worktrees import removing

from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import Refused, ThrumError
from thrum_kernel.testing.harness import Repo, clean_environment
from thrum_kernel.testing.kernel import Kernel, running

EVENTS = frozenset({"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "subprocess.Popen"})
NAME, AGENT = "a", "ada"
DIRTY = {"README.md": "changed\n", "new.txt": "new\n"}

seen = {"counts": False, "steps": 0, "last": -1, "late": False}
"""``late``: somebody writes into the worktree at the last moment before its folder is set aside."""


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not seen["counts"]:
        return
    if event == "os.rename" and str(arguments[1]).endswith(".going") and seen["late"]:
        seen["counts"] = False
        Path(arguments[0], "new.txt").write_text(DIRTY["new.txt"])
        Path(arguments[0], "README.md").write_text(DIRTY["README.md"])
        seen["counts"] = True
    if event in EVENTS or (event == "open" and _writes(arguments)):
        seen["steps"] += 1
        if seen["steps"] == seen["last"]:
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


class House:
    """A repository, and kernels over it.

    Attributes:
        tree: where the worktree is.
    """

    def __init__(self, folder: Path) -> None:
        home = folder / "home"
        home.mkdir(parents=True)
        os.environ.clear()
        os.environ.update(clean_environment(home))
        self.repo = Repo.make(folder / "project", dict(os.environ))
        for number in range(3):
            (self.repo.path / f"{number}.txt").write_text(f"{number}\n" * 100)
        (self.repo.path / ".gitignore").write_text(".thrum/\n")
        self.repo.git("add", ".")
        self.repo.git("commit", "-q", "-m", "files")
        self.tree = home / ".thrum" / "worktrees" / "project" / NAME
        self.before = self._main()

    @contextmanager
    def kernel(self) -> Iterator[Kernel]:
        with running(
            self.repo,
            clock=SystemClock(),
            env={"THRUM_PLUGINS_STRICT": "1", "THRUM_PLUGINS_DISABLE": "tmux", **os.environ},
        ) as made:
            yield made

    def create(self, kernel: Kernel) -> None:
        kernel.call("worktrees.create", name=NAME, agent=AGENT, role="tester", module="tests")

    def destroy(self, kernel: Kernel) -> None:
        kernel.call("worktrees.destroy", name=NAME, delete_branch=True)

    def make_dirty(self) -> None:
        for name, text in DIRTY.items():
            (self.tree / name).write_text(text)

    # --- what must hold ----------------------------------------------------------------------------------------------

    def problems_of_whole(self, kernel: Kernel, *, dirty: bool = False) -> Iterator[str]:
        """What is wrong with a worktree that must be there, whole."""
        status = self.repo.git("-C", str(self.tree), "status", "--porcelain")
        expected = "M README.md\n?? new.txt" if dirty else ""
        if status != expected:
            yield f"status {status!r}"
        if dirty:
            yield from (f"{n} lost" for n, t in DIRTY.items() if (self.tree / n).read_text() != t)
        if self.repo.git("-C", str(self.tree), "symbolic-ref", "HEAD") != f"refs/heads/feature/{NAME}":
            yield "another branch"
        if (self.tree / ".thrum" / "redirect").read_text() != f"{self.repo.path}/.thrum\n":
            yield "no redirect"
        rows = [row for row in kernel.call("worktrees.list") if row["path"] == str(self.tree)]
        if [row.get("agent") for row in rows] != [AGENT]:
            yield f"listed as {rows}"
        if not (self.tree / ".thrum" / "identities" / f"{AGENT}.json").exists():
            yield "no identity file"
        if "locked" in self.repo.git("worktree", "list", "--porcelain"):
            yield "still locked"

    def problems_of_none(self, kernel: Kernel) -> Iterator[str]:
        """What is left of a worktree that must not be there."""
        for path in (self.tree, removing.aside_of(self.tree)):
            if os.path.lexists(path):
                yield f"{path.name} is there"
        if str(self.tree) in self.repo.git("worktree", "list"):
            yield "git knows it"
        if self.repo.git("branch", "--list", f"feature/{NAME}"):
            yield "its branch is there"
        team = kernel.call("team.list", include_offline=True)["members"]
        if any(member["agent_id"] == AGENT for member in team):
            yield "its agent is registered"

    def problems_anyway(self, kernel: Kernel) -> Iterator[str]:
        if self._main() != self.before:
            yield f"the main worktree changed: {self._main()}"
        rows = kernel.context("worktrees").read("SELECT * FROM worktrees_undertakings", local=True)
        if rows:
            yield f"still under way: {rows}"

    def is_whole(self) -> bool:
        return self.tree.exists()

    def _main(self) -> tuple[str, str]:
        return self.repo.git("status", "--porcelain"), self.repo.git("rev-parse", "HEAD", "main")


# --- scenarios: what is prepared, what is killed, what must hold after the next start --------------------------------


def after_create(house: House, kernel: Kernel) -> Iterator[str]:
    state = house.problems_of_whole if house.is_whole() else house.problems_of_none
    yield from (f"after the start: {each}" for each in (*state(kernel), *house.problems_anyway(kernel)))
    house.create(kernel)
    yield from (*house.problems_of_whole(kernel), *house.problems_anyway(kernel))


def after_destroy(house: House, kernel: Kernel) -> Iterator[str]:
    was_there = house.is_whole()
    state = house.problems_of_whole if was_there else house.problems_of_none
    yield from (f"after the start: {each}" for each in (*state(kernel), *house.problems_anyway(kernel)))
    if was_there:
        house.make_dirty()  # work that came after the interruption
        yield from _refused(house, kernel)
        house.repo.git("-C", str(house.tree), "checkout", "-q", "README.md")
        (house.tree / "new.txt").unlink()
        house.destroy(kernel)
    yield from (*house.problems_of_none(kernel), *house.problems_anyway(kernel))


def after_late(house: House, kernel: Kernel) -> Iterator[str]:
    if not (house.tree / "new.txt").exists():
        house.make_dirty()  # killed before that moment
    yield from after_refused(house, kernel)


def after_refused(house: House, kernel: Kernel) -> Iterator[str]:
    yield from house.problems_of_whole(kernel, dirty=True)
    yield from _refused(house, kernel)
    yield from house.problems_anyway(kernel)


def _refused(house: House, kernel: Kernel) -> Iterator[str]:
    try:
        house.destroy(kernel)
        yield "it was not refused"
    except Refused:
        yield from house.problems_of_whole(kernel, dirty=True)


def destroy_in_vain(house: House, kernel: Kernel) -> None:
    try:
        house.destroy(kernel)
    except Refused:
        return
    raise AssertionError("it was not refused")


def prepare_late(house: House, kernel: Kernel) -> None:
    house.create(kernel)
    seen["late"] = True


def prepare_dirty(house: House, kernel: Kernel) -> None:
    house.create(kernel)
    house.make_dirty()


Step = Callable[[House, Kernel], None]
SCENARIOS: dict[str, tuple[Step, Step, Callable[[House, Kernel], Iterator[str]]]] = {
    "create": (lambda house, kernel: None, House.create, after_create),
    "destroy": (House.create, House.destroy, after_destroy),
    "refused": (prepare_dirty, destroy_in_vain, after_refused),
    "late": (prepare_late, destroy_in_vain, after_late),
}


def until_killed(house: House, scenario: str, step: int) -> int:
    """Run a scenario up to a step; how many there were, 0 when it was killed there."""

    def child() -> Any:
        prepare, act, _ = SCENARIOS[scenario]
        with house.kernel() as kernel:
            prepare(house, kernel)
            seen.update(counts=True, steps=0, last=step)
            act(house, kernel)
            seen["counts"] = False
        return seen["steps"]

    reached = in_child(child)
    assert reached is None or isinstance(reached, int), reached
    return reached or 0


def problems(house: House, scenario: str) -> list[str]:
    """What is wrong after the next start."""

    def child() -> Any:
        with house.kernel() as kernel:
            kernel.run(kernel.context("worktrees").call("worktrees.resume"))  # its service does, too
            return list(SCENARIOS[scenario][2](house, kernel))

    found = in_child(child)
    return ["it was killed"] if found is None else list(found)


def in_child(work: Callable[[], Any]) -> Any:
    """The result of *work* in a process of its own; None when that was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = work()
        except BaseException as error:  # noqa: BLE001 - told to the parent
            answer = [f"{error!r}: {''.join(traceback.format_exception(error))}"]
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(told) if told else None


def main(folder: str, scenario: str, *steps: str) -> None:
    sys.addaudithook(hook)
    for step in map(int, steps):
        place = Path(folder) / f"{scenario}-{step}"
        house = House(place)
        reached = until_killed(house, scenario, step)
        print(
            json.dumps({"step": step, "reached": reached, "problems": problems(house, scenario)}), flush=True
        )
        shutil.rmtree(place)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ThrumError as error:
        sys.exit(str(error))
