"""Every command gives the same output and exit status in the daemon and in process (DESIGN.md D4)."""

from __future__ import annotations

import pytest
from cli_daemon import SmallDaemon
from cli_program import Program, same

ROWS = [
    ("send", "hello", "--to", "@bob"),
    ("send", "hello", "--to", "@bob", "-t", "@eve", "--json"),
    ("--json", "send", "before the command"),
    ("send", "--stdin"),
    ("send", "--stdin", "--quiet"),
    ("send", "--body-file", "body.txt"),
    ("send", "--body-file", "missing.txt"),
    ("send", "--body-file", "."),
    ("send", "nobody"),
    ("send", "nobody", "--json"),
    ("send", "a", "b"),
    ("send", "--bogus"),
    ("send", "-z"),
    ("send", "--to"),
    ("inbox",),
    ("inbox", "--json"),
    ("inbox", "-n", "3"),
    ("inbox", "--times", "many"),
    ("where",),
    ("where", "--json", "--role", "tester"),
    ("noisy", "20000"),
    ("noisy", "--json"),
    ("broken",),
    ("broken", "--json"),
    ("who",),
    ("look",),
    ("team",),
    ("team", "--all"),
    ("team", "--all", "local"),
    ("team", "here", "-a"),
    ("team", "--bogus"),
    ("team", "nowhere"),
    ("bogus",),
    ("sned", "hello"),
    ("--bogus",),
    ("__complete", "--", "se"),
]


@pytest.mark.parametrize("words", ROWS, ids=" ".join)
def test_both_ways_give_the_same(
    daemon: SmallDaemon, thrum: Program, in_process: Program, words: tuple[str, ...]
) -> None:
    (thrum.cwd / "body.txt").write_text("from a file")
    daemon.kept.sent += ["first", "second ü\x1b[31m"]
    daemon.kept.freeze = True

    ran = same(thrum, in_process, words, stdin=b"from standard input")

    assert ran.out or ran.err


def test_both_ways_await_a_long_answer(daemon: SmallDaemon, thrum: Program, in_process: Program) -> None:
    for program in (thrum, in_process):
        waiting = program.start("wait")
        daemon.until(lambda: daemon.kept.release is not None)
        daemon.on_loop(daemon.kept.let_go)

        out, _ = waiting.communicate(timeout=20)

        assert (waiting.returncode, out) == (0, b"released\n")
