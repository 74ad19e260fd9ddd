"""Writing templates from answers: nothing that somebody wrote is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_roles.drift import drift
from thrum_roles.refreshing import adopt, refresh
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import RoleAnswers, RoleConfig
from thrum_roles.shipped import Catalogue, made_of


def texts(version: int = 1, **bodies: str) -> Catalogue:
    names = ("tester-strict", "tester-loose", "planner-strict")
    head = f"---\nschema_version: {version}\n---\n\n"
    return made_of([(name, f"{head}{bodies.get(name.replace('-', '_'), name)}\n") for name in names])


@pytest.fixture
def templates(tmp_path: Path) -> RepositoryTemplates:
    (tmp_path / ".thrum").mkdir()
    return RepositoryTemplates(tmp_path / ".thrum")


def answers(**forms: str) -> RoleConfig:
    return RoleConfig(
        schema_version=1, roles={role: RoleAnswers(autonomy=form) for role, form in forms.items()}
    )


def body(templates: RepositoryTemplates, role: str) -> str:
    return templates.path(role).read_text()


def test_answered_roles_are_written_without_front_matter(templates: RepositoryTemplates) -> None:
    config, done = refresh(templates, answers(tester="loose", planner="strict"), texts())

    assert (body(templates, "tester"), body(templates, "planner")) == ("tester-loose\n", "planner-strict\n")
    assert [(each.role, each.action, each.template) for each in done] == [
        ("planner", "written", "planner-strict"),
        ("tester", "written", "tester-loose"),
    ]
    assert drift(config, templates.roles(), texts()) is None


def test_a_second_time_changes_nothing(templates: RepositoryTemplates) -> None:
    config, _ = refresh(templates, answers(tester="loose"), texts())
    before = templates.path("tester").stat().st_mtime_ns

    again, done = refresh(templates, config, texts())

    assert ([each.action for each in done], again) == (["unchanged"], config)
    assert templates.path("tester").stat().st_mtime_ns == before


def test_a_newer_shipped_text_replaces_an_untouched_one(templates: RepositoryTemplates) -> None:
    config, _ = refresh(templates, answers(tester="strict"), texts())
    newer = texts(2, tester_strict="better")

    config, done = refresh(templates, config, newer)

    assert body(templates, "tester") == "better\n"
    assert done[0].aside is None
    assert config.schema_version == 2
    assert drift(config, templates.roles(), newer) is None


def test_another_form_replaces_an_untouched_one(templates: RepositoryTemplates) -> None:
    refresh(templates, answers(tester="strict"), texts())

    _, done = refresh(templates, answers(tester="loose"), texts())

    assert (body(templates, "tester"), done[0].aside) == ("tester-loose\n", None)


def test_a_text_of_somebodys_own_is_moved_aside(templates: RepositoryTemplates) -> None:
    templates.write("tester", "my own")

    _, done = refresh(templates, answers(tester="strict"), texts())

    assert body(templates, "tester") == "tester-strict\n"
    assert done[0].aside is not None and done[0].aside.read_text() == "my own"


def test_front_matter_that_an_earlier_wizard_left_is_taken_out(templates: RepositoryTemplates) -> None:
    templates.write("tester", "---\nschema_version: 1\n---\n\ntester-strict\n")

    _, done = refresh(templates, answers(tester="strict"), texts())

    assert (body(templates, "tester"), done[0].aside) == ("tester-strict\n", None)


def test_roles_that_nobody_ships_or_answered_are_left_alone(templates: RepositoryTemplates) -> None:
    templates.write("designer", "ours")
    templates.write("planner", "ours, too")

    config, done = refresh(templates, answers(designer="wild"), texts())

    assert [(each.role, each.action) for each in done] == [("designer", "own")]
    assert (body(templates, "designer"), body(templates, "planner")) == ("ours", "ours, too")
    assert config.roles["designer"].rendered_hash is None


def test_adopt_knows_shipped_texts_and_writes_nothing(templates: RepositoryTemplates) -> None:
    templates.write("tester", "---\nschema_version: 1\n---\ntester-loose\n")
    templates.write("planner", "my own")
    before = {role: body(templates, role) for role in templates.roles()}

    found, done = adopt(templates, texts())

    assert {role: answer.autonomy for role, answer in found.items()} == {"tester": "loose"}
    assert {each.role: each.action for each in done} == {"tester": "adopted", "planner": "own"}
    assert {role: body(templates, role) for role in templates.roles()} == before


@given(steps=st.lists(st.sampled_from(["refresh", "edit", "ship", "form"]), max_size=8))
def test_whatever_happens_no_text_of_anybodys_is_lost(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    thrum = tmp_path_factory.mktemp("repo") / ".thrum"
    thrum.mkdir()
    templates, config, shipped = RepositoryTemplates(thrum), answers(tester="strict"), texts()
    written: list[str] = []
    for number, step in enumerate(steps):
        if step == "edit":
            written.append(f"my own {number}")
            if templates.source("tester") is not None:
                templates.set_aside("tester")  # an editor that keeps what was there
            templates.write("tester", written[-1])
        elif step == "ship":
            shipped = texts(1, tester_strict=f"shipped {number}", tester_loose=f"loose {number}")
        elif step == "form":
            other = "loose" if config.roles["tester"].autonomy == "strict" else "strict"
            roles = {"tester": config.roles["tester"].model_copy(update={"autonomy": other})}
            config = config.model_copy(update={"roles": roles})
        else:
            config, _ = refresh(templates, config, shipped)
            assert drift(config, templates.roles(), shipped) is None

    kept = {path.read_text() for path in thrum.rglob("*.md*")}
    assert set(written) <= kept
