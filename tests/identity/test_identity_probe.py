"""What the system says about real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from thrum_kernel.identity import probe
from thrum_kernel.identity.processes import RUNTIMES, runtime_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def child(cwd: Path, *, name: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its standard input is closed."""
    found = shutil.which("cat")
    assert found is not None
    process = subprocess.Popen(
        [name or found], executable=found, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"up\n")
        process.stdin.flush()
        process.stdout.readline()  # now it is the program, not a copy of us about to become it
        yield process
    finally:
        process.communicate()


def test_a_process_is_told_with_its_ancestors_and_folders(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "project"
    (root / "src").mkdir(parents=True)
    (root / ".git").mkdir()
    with child(root / "src") as process:
        facts = probe.facts(process.pid)

    assert [entry.pid for entry in facts.chain[:2]] == [process.pid, os.getpid()]
    assert facts.chain[0].ppid == os.getpid()
    assert [folder.path for folder in facts.folders] == [root / "src", root]
    assert facts.folders[1].inode == (root.stat().st_dev, root.stat().st_ino)
    assert facts.git_root == root
    assert facts.uid == os.getuid()
    assert (facts.failed, facts.foreign, facts.cwd_gone) == (frozenset(), "", False)


def test_outside_git_the_folders_go_up_to_the_top(tmp_path: Path) -> None:
    with child(tmp_path) as process:
        facts = probe.facts(process.pid)

    assert facts.folders[-1].path == Path("/")
    assert facts.git_root is None


def test_psutil_tells_the_same(tmp_path: Path) -> None:
    with child(tmp_path) as process:
        direct, other = probe.facts(process.pid), probe.facts_of_psutil(process.pid)

    assert other.folders == direct.folders
    assert [(p.pid, p.ppid, p.runtime) for p in other.chain] == [
        (p.pid, p.ppid, p.runtime) for p in direct.chain
    ]
    assert (other.uid, other.git_root) == (direct.uid, direct.git_root)
    assert probe.facts_of_psutil(process.pid).failed == {"pid", "cwd"}


def test_a_runtime_is_recognised_by_what_it_was_started_as(tmp_path: Path) -> None:
    with child(tmp_path, name="claude") as process:
        facts = probe.facts(process.pid)

    assert facts.runtime is not None
    assert (facts.runtime.pid, facts.runtime.runtime) == (process.pid, "claude")


def test_a_process_that_ended_is_a_failed_step() -> None:
    with child(Path("/")) as process:
        pass

    assert probe.facts(process.pid).failed == {"pid", "cwd"}
    assert not probe.alive(process.pid)
    assert probe.process(process.pid) is None


def test_what_the_socket_cannot_tell_is_a_failed_step_and_what_it_cannot_see_is_foreign() -> None:
    assert probe.facts(None).failed == {"pid", "cwd"}
    assert probe.facts(0).foreign == "pid"
    assert not probe.alive(0)


@linux
def test_a_removed_working_folder_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with child(gone) as process:
        gone.rmdir()
        removed = probe.facts(process.pid)
        gone.mkdir()
        remade = probe.facts(process.pid)

    for facts in (removed, remade):
        assert facts.cwd_gone
        assert facts.folders == ()
        assert facts.failed == frozenset()


@linux
def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.read()  # it has ended, and nobody has taken notice yet
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not probe.alive(process.pid)
    finally:
        process.communicate()


def test_alive_tells_processes_with_one_id_apart() -> None:
    own = probe.process(os.getpid())

    assert own is not None
    assert probe.alive(own.pid)
    assert probe.alive(own.pid, own.start_time)
    assert not probe.alive(own.pid, own.start_time - 1)
    assert 0 < own.start_time < 2**53  # travels in JSON


@linux
def test_a_descriptor_of_an_ended_process_voids_the_facts() -> None:
    with child(Path("/")) as process:
        descriptor = os.pidfd_open(process.pid)
        assert probe.facts(os.getpid(), pidfd=descriptor).chain
    try:
        assert probe.facts(os.getpid(), pidfd=descriptor).failed == {"pid", "cwd"}
    finally:
        os.close(descriptor)


@linux
def test_another_namespace_is_told(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode:
        pytest.skip("namespaces cannot be made here")
    command = [unshare, "-rm", "sh", "-c", "echo; exec cat"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert probe.facts(process.pid).foreign == "mount"
    finally:
        process.communicate()


@pytest.mark.parametrize(
    ("comm", "argv", "runtime"),
    [
        ("claude", (), "claude"),
        ("kiro-cli", (), "kiro-cli"),
        ("agent", (), "cursor"),
        (".opencode", (), "opencode"),
        ("2.0.1", ("claude", "--continue"), "claude"),
        ("node", ("node", "--no-warnings", "/usr/local/bin/gemini"), "gemini"),
        ("node-MainThread", ("node", "/opt/x/codex.js"), "codex"),
        ("python3.11", ("python3", "-m", "aider"), "aider"),
        ("node", ("/home/u/.local/bin/cursor-agent", "/opt/index.js"), "cursor"),
        ("python3", ("python3", "agent.py"), ""),
        ("bash", ("bash", "-c", "claude"), ""),
        ("vim", ("vim", "claude"), ""),
        ("python3", ("python3", "-c", "claude"), ""),
        ("node", ("node",), ""),
    ],
)
def test_runtimes_are_told_by_their_names(comm: str, argv: tuple[str, ...], runtime: str) -> None:
    assert runtime_of(comm, argv) == runtime


def test_presets_add_names() -> None:
    assert runtime_of("goose") == ""
    assert runtime_of("goose", names={**RUNTIMES, "goose": "goose"}) == "goose"
