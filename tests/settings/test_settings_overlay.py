"""A file beside the daemon's own, above config.json for this machine: read at once, and never passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.errors import FileDamaged
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.settings.overlay import parsed
from thrum_kernel.settings.sections import Section, SectionModel

Mode = Literal["strict", "warn", "off"]


class Paint(SectionModel):
    dries_in_s: int = 60


class Doors(SectionModel):
    front: Mode = "strict"
    back: Mode = "strict"
    paint: Paint = Paint()


SECTION = Section(name="doors", model=Doors, owner="house", overlay="doors-here.json")


@pytest.fixture
def settings(tmp_path: Path) -> SettingsFile:
    (tmp_path / "var").mkdir()
    made = SettingsFile(tmp_path / "config.json", look_every_s=3600.0)
    made.register_section(SECTION)
    return made


def put(settings: SettingsFile, value: Any) -> Path:
    path = settings.path.parent / "var" / "doors-here.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def held(settings: SettingsFile, key: str) -> tuple[Any, str]:
    found = settings.get(f"doors.{key}")
    return found.value, found.source


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["bare", "wrapped"])
def test_it_counts_key_by_key_and_is_named_as_the_source(settings: SettingsFile, is_wrapped: bool) -> None:
    settings.set("doors.front", "off")
    settings.set("doors.back", "warn")
    values = {"front": "warn", "paint": {"dries_in_s": 5}}
    put(settings, {"doors": values} if is_wrapped else values)

    assert held(settings, "front") == ("warn", "var/doors-here.json")
    assert held(settings, "back") == ("warn", "config.json")
    assert held(settings, "paint.dries_in_s") == (5, "var/doors-here.json")
    assert settings.current().show()["doors"]["front"] == {"value": "warn", "source": "var/doors-here.json"}
    assert settings.problems() == []


def test_it_is_read_again_whenever_it_changed_however_seldom_the_rest_is(settings: SettingsFile) -> None:
    news = []
    settings.changed.append(lambda: news.append(len(settings.problems())))
    assert held(settings, "front") == ("strict", "default")
    path = put(settings, {"front": "warn"})
    assert held(settings, "front")[0] == "warn"
    put(settings, '{"front": "wa')
    with pytest.raises(FileDamaged, match="is no JSON"):
        settings.get("doors.front")
    put(settings, {"front": "off"})
    assert held(settings, "front")[0] == "off"
    path.unlink()
    assert held(settings, "front") == ("strict", "default")
    assert news == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "it is no JSON object"),
        ('"strict"', "it is no JSON object"),
        ('{"doors": []}', "its doors is no JSON object"),
        ('{"front": "loud"}', "doors.front: input should be 'strict', 'warn' or 'off', not 'loud'"),
        ('{"front": false}', "doors.front: input should be"),
        ('{"frnt": "off"}', "doors.frnt: unknown key, did you mean doors.front?"),
        ('{"paint": {"dries": 1}}', "doors.paint.dries: unknown key"),
        ('{"doors": {}, "front": "off"}', "front: unknown key beside doors"),
        ('{"front": 3, "back": "never"}', "doors.back: input"),
    ],
)
def test_one_that_cannot_be_understood_is_an_error(settings: SettingsFile, text: str, told: str) -> None:
    path = put(settings, text)

    for _ in range(2):
        with pytest.raises(FileDamaged) as caught:
            settings.get("doors.front")
        assert told in str(caught.value)
        assert str(path) in str(caught.value)
    assert [(each.subject, each.level) for each in settings.problems()] == [("doors", "error")]
    shown = settings.current().show()["doors"]["front"]
    assert told in shown["problem"]
    assert settings.daemon.autostart, "all else holds"


def test_a_folder_in_its_place_is_an_error(settings: SettingsFile) -> None:
    (settings.path.parent / "var" / "doors-here.json").mkdir()

    with pytest.raises(FileDamaged, match="cannot be read"):
        settings.get("doors.front")


def test_nothing_is_set_below_one_that_cannot_be_understood(settings: SettingsFile) -> None:
    settings.set("doors.front", "warn")
    put(settings, "[")
    before = settings.path.read_bytes()

    with pytest.raises(FileDamaged, match=r"doors-here\.json"):
        settings.set("doors.front", "off")
    assert settings.path.read_bytes() == before


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["strict", "warn", ""]) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["front", "back", "paint", "dries_in_s", "doors"]) | st.text(),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_gives_values_that_fit_or_an_error(value: Any) -> None:
    try:
        found = parsed(Path("doors-here.json"), value, SECTION)
    except FileDamaged:
        return
    assert {each.key for each in found} <= set(SECTION.keys)
    for each in found:
        *_, key = each.key.split(".")
        SECTION.validated({"paint": {key: each.value}} if key == "dries_in_s" else {key: each.value})
