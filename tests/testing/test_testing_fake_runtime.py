"""The fake runtime behaves as full-screen agents do, in a real tmux pane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel.testing.fake_runtime import reading
from thrum_kernel.testing.fake_runtime.driver import FakeRuntime, add_plugin
from thrum_kernel.testing.fake_runtime.drops import Drops
from thrum_kernel.testing.fake_runtime.keys import Decoder, Stroke
from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.tmux import TmuxServer, tmux_server

LINE = "New message from @ada (msg_01J00000000000000000000000)"


@pytest.fixture(scope="module")
def tmux() -> Iterator[TmuxServer]:
    with tmux_server() as server:
        server.begin()
        yield server


class Pane:
    """The program in a pane."""

    def __init__(self, tmux: TmuxServer, folder: Path, **options: object) -> None:
        self.tmux = tmux
        self.cwd = folder / "work"
        self.cwd.mkdir()
        self.fake = FakeRuntime(folder / "fake", **options)
        self.id = tmux.session(folder.name, self.fake.command(), cwd=str(self.cwd))
        self.fake.connect()

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-t", self.id, "-l", "--", text)

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", self.id, *keys)

    def shows(self, text: str) -> list[str]:
        return self.tmux.shows(self.id, lambda rows: any(text in row.replace("\xa0", " ") for row in rows))


@pytest.fixture
def start(tmux: TmuxServer, tmp_path: Path) -> Iterator[Any]:
    panes: list[Pane] = []

    def started(**options: object) -> Pane:
        panes.append(Pane(tmux, tmp_path, **{"paste": 0, **options}))
        return panes[-1]

    yield started
    for pane in panes:
        tmux.run("kill-pane", "-t", pane.id)
        pane.fake.close()


def entries(pane: Pane) -> list[tuple[str, str]]:
    path = reading.find(pane.fake.state()["pid"], pane.cwd)
    assert path is not None and path == Path(pane.fake.state()["transcript"])
    return [(entry.kind, entry.text) for entry in reading.read(path)]


def idle(pane: Pane, prompts: int) -> dict[str, Any]:
    return pane.fake.until(lambda state: len(state["submitted"]) == prompts and not state["is_working"])


def test_a_line_and_enter_become_a_prompt_of_the_transcript(start: Any) -> None:
    pane = start()
    pane.type("hello")
    pane.shows("❯ hello")
    pane.press("Enter")
    assert idle(pane, 1)["submitted"] == ["hello"]
    assert entries(pane) == [("user", "hello"), ("assistant", "Done.")]
    taken = [json.loads(line) for line in pane.fake.record.read_text().splitlines()]
    assert [(each["what"], each["owner"], each["draft"]) for each in taken] == [
        ("hello", "prompt", ""),
        ("Enter", "prompt", "hello"),
    ]


def test_enter_right_behind_text_is_part_of_it(start: Any) -> None:
    pane = start(paste=30)
    pane.type(LINE)
    pane.press("Enter")
    state = pane.fake.until(lambda state: len(state["taken"]) == 2)
    assert state["submitted"] == [] and state["draft"] == LINE + "\n"


def test_a_paste_keeps_its_line_breaks(start: Any) -> None:
    pane = start()
    pane.tmux("set-buffer", "-b", "b", "one\ntwo")
    pane.tmux("paste-buffer", "-p", "-b", "b", "-t", pane.id)
    assert pane.fake.until(lambda state: state["draft"])["draft"] == "one\ntwo"
    assert pane.fake.state()["taken"][0]["kind"] == "paste"
    pane.shows("  two")


@pytest.mark.parametrize("face", ["rule", "box", "bare"])
def test_a_dialog_owns_the_keys_until_it_is_answered(start: Any, face: str) -> None:
    pane = start(face=face)
    pane.fake.draft("half a tho")
    pane.shows("half a tho")
    pane.fake.dialog("tool_confirmation")
    pane.shows("Do you want to proceed?")
    pane.type("x")
    pane.press("Enter")
    state = pane.fake.until(lambda state: state["answered"])
    assert state["answered"] == [["tool_confirmation", "yes"]]
    assert [each["owner"] for each in state["taken"]] == ["dialog", "dialog"]
    assert state["draft"] == "half a tho" and state["submitted"] == []


def test_input_waits_while_it_works_and_is_no_prompt_until_then(start: Any) -> None:
    pane = start()
    pane.fake.work()
    pane.shows("Working… (")
    pane.type("later")
    pane.shows("❯ later")
    pane.press("Enter")
    pane.fake.until(lambda state: state["submitted"] == ["later"])
    assert entries(pane) == [("other", "later")]
    pane.fake.rest()
    idle(pane, 1)
    assert entries(pane)[1:] == [("user", "later"), ("assistant", "Done.")]


def test_planned_losses_take_line_tail_or_enter(start: Any) -> None:
    pane = start()
    pane.fake.order("drop_next", kinds=["line", "tail", "enter", ""])
    pane.type(LINE)
    assert pane.fake.until(lambda state: len(state["taken"]) == 1)["draft"] == ""
    pane.type(LINE)
    part = pane.fake.until(lambda state: len(state["taken"]) == 2)["draft"]
    assert part and part != LINE and LINE.startswith(part)
    pane.fake.draft("")
    pane.type(LINE)
    pane.shows(LINE)
    pane.press("Enter")
    assert pane.fake.until(lambda state: len(state["taken"]) == 4)["draft"] == LINE
    pane.press("Enter")
    assert idle(pane, 1)["submitted"] == [LINE]


def test_losses_are_drawn_by_seed() -> None:
    def lost(seed: int) -> list[str]:
        drops = Drops(0.7, seed=seed)
        return [drops.text(LINE) + ("" if drops.enter() else "|") for _ in range(2000)]

    assert lost(1) == lost(1) != lost(2)
    whole = sum(each == LINE for each in lost(1))
    assert 540 < whole < 660, "three in ten come through whole"
    assert {"line": "" in lost(1), "enter": LINE + "|" in lost(1)} == {"line": True, "enter": True}
    assert Drops(1.0).text("typed") == "typed", "a person's keys are never lost"


def test_hooks_get_the_prompt_and_the_tool_result_and_can_go_on(start: Any, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "hook.sh"
    script.write_text(
        f"#!/bin/sh\ninput=$(cat)\nprintf '%s\\n' \"$input\" >>{told}\n"
        'case $input in *\'"Stop", \'*\'"stop_hook_active": false\'*) echo \'{"decision":"block","reason":"go on"}\';; esac\n'
    )
    hooks = {
        event: [{"hooks": [{"type": "command", "command": f"sh {script}"}]}]
        for event in ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop")
    }
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"hooks": hooks}))
    pane = start(settings=settings, on_prompt="echo got $PROMPT")
    pane.type("ping")
    pane.shows("❯ ping")
    pane.press("Enter")
    idle(pane, 1)
    given = [json.loads(line) for line in told.read_text().splitlines()]
    assert [each["hook_event_name"] for each in given] == [
        "SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "PostToolUse", "Stop",
    ]  # fmt: skip
    assert given[1]["prompt"] == "ping" and given[2]["tool_response"] == {"stdout": "got ping\n"}
    kinds = entries(pane)
    assert ("tool", "got ping\n") in kinds and ("other", "go on") in kinds


def test_a_slow_start_loses_what_is_typed(start: Any) -> None:
    pane = start(start=1.0)
    pane.type("too soon")
    state = pane.fake.until(lambda state: state["taken"])
    assert (state["owner"], state["draft"]) == ("starting", "")
    pane.shows("❯")
    assert pane.fake.until(lambda state: state["owner"] == "prompt")["draft"] == ""


def test_compaction_leaves_a_summary_that_is_no_prompt(start: Any) -> None:
    pane = start()
    pane.fake.order("compact", seconds=30)
    pane.shows("Compacting conversation…")
    pane.fake.rest()
    assert [kind for kind, _ in entries(pane)] == ["other", "other"]


def test_a_crash_ends_it_at_once(start: Any) -> None:
    pane = start()
    other = pane.tmux.session(f"{pane.cwd.parent.name}-stays")
    pane.fake.crash()
    deadline = 20.0
    pane.tmux.shows(
        other, lambda rows: pane.id not in pane.tmux("list-panes", "-a", "-F", "#{pane_id}"), limit_s=deadline
    )
    pane.tmux("kill-pane", "-t", other)


def test_strokes_are_told_apart_however_they_are_cut() -> None:
    data = "é日x\r".encode() + b"\x1b[200~a\rb\x1b[201~\x1b[A\x7f\x15"
    wanted = "é日x", "Enter", "a\nb", "Up", "BSpace", "C-u"
    whole = Decoder().feed(data)
    assert tuple(stroke.what for stroke in whole) == wanted
    for cut in (1, 3, 4):
        decoder = Decoder()
        strokes = [*decoder.feed(data[:cut]), *decoder.feed(data[cut:])]
        assert "".join(each.what for each in strokes if each.kind == "text") == "é日x"
    decoder = Decoder()
    assert decoder.feed(b"\x1b[200~half") == []
    assert decoder.feed(b" done\x1b[201~") == [Stroke("paste", "half done")]


def test_a_daemon_knows_the_runtime_once_its_plugin_is_added(repo: Repo, cli: Cli) -> None:
    cli("init", "--non-interactive", "--no-daemon")
    add_plugin(repo)
    listed = {plugin["name"]: plugin["state"] for plugin in cli.json("plugin", "list")["plugins"]}
    assert listed["fake_runtime"] == "active"
