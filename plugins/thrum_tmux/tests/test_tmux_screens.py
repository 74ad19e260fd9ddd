"""Every screen that comes with the harness is read as its head says, by the patterns of the runtime's own preset."""

from __future__ import annotations

import dataclasses

import pytest
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import Reading, read, squeezed

from thrum_kernel.api import RuntimePreset
from thrum_kernel.testing.fake_runtime.face import FACES, Scene, draw
from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.screens import Screen, runtimes, screens

BUILT_IN = pytest.importorskip("thrum_runtimes.presets").BUILT_IN
PRESETS: dict[str, RuntimePreset] = {preset.name: preset for preset in BUILT_IN}
SCREENS = [screen for runtime in runtimes() for screen in screens(runtime)]


def reading(screen: Screen) -> Reading:
    of = patterns.of(PRESETS[screen.runtime])
    return read(screen.rows, screen.cursor, of, columns=screen.size[0])


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen.runtime}-{screen.name}")
def test_a_screen_is_read_as_it_says(screen: Screen) -> None:
    found = reading(screen)
    said = (found.owner, found.dialog, squeezed(found.text), found.is_busy)
    assert said == (screen.owner, screen.dialog, squeezed(screen.text), screen.is_busy)


def test_every_runtime_that_is_launched_has_patterns_of_its_prompt() -> None:
    without = [name for name, preset in PRESETS.items() if not patterns.of(preset).knows_prompt]
    assert without == ["cli-only"], "nothing is ever typed into these"


@pytest.mark.parametrize(
    "screen", [s for s in SCREENS if s.owner == "prompt"], ids=lambda s: f"{s.runtime}-{s.name}"
)
def test_a_prompt_box_that_is_not_whole_is_never_an_empty_one(screen: Screen) -> None:
    """Rows of the box go missing as in a frame that is half drawn: what is left may be a draft, or unknown."""
    of = patterns.of(PRESETS[screen.runtime])
    first, after = reading(screen).rows
    for gone in range(first, after):
        rows = [row for at, row in enumerate(screen.rows) if at != gone]
        found = read([*rows, ""], screen.cursor, of, columns=screen.size[0])
        assert not found.is_empty_prompt, "a box without its row of text"


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("columns", "lines"), [(100, 30), (40, 12), (200, 50), (30, 10)])
def test_the_fake_runtime_is_read_at_every_size(face: str, columns: int, lines: int) -> None:
    of = patterns.of(FAKE_AGENT)
    said = [f"row {number} says what 1. it says" for number in range(60)]

    def seen(**how: object) -> Reading:
        drawn = draw(Scene(face=face, said=said, **how), columns, lines)  # type: ignore[arg-type]
        return read(drawn.rows, drawn.cursor or (0, 0), of, columns=columns)

    line = "New message from @ada (msg_01JD3Z5T7W9Y1B3D5F7H9K1M3P) (+2) -- run: thrum inbox"
    assert seen().is_empty_prompt
    assert seen(placeholder='Try "fix the tests"').is_empty_prompt
    assert squeezed(seen(draft=line, at=len(line)).text) == squeezed(line)
    assert seen(draft="one\n\ntwo", at=0).text.split() == ["one", "two"]
    assert seen(draft="\n\ntwo", at=0).text.split() == ["two"], "a draft may begin with empty rows"
    assert seen(working_s=3.0) == dataclasses.replace(
        seen(working_s=3.0), owner="prompt", is_busy=True, text=""
    )
    assert seen(working_s=3.0, shows_prompt=False).owner == "busy"
    assert seen(shows_prompt=False).owner == "unknown"
    for name in FAKE_AGENT.dialog:
        assert (seen(dialog=name).owner, seen(dialog=name).dialog) == ("dialog", name)


def test_a_pattern_that_is_none_names_its_runtime_and_key() -> None:
    broken = RuntimePreset(name="mine", display_name="Mine", command="mine", prompt={"line": "("})
    with pytest.raises(patterns.PatternBroken, match=r"runtime mine: prompt\.line is no regular expression"):
        patterns.of(broken)
