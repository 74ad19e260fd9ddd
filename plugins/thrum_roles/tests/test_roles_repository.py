"""Templates of a repository, on a real folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from thrum_roles.checks import findings
from thrum_roles.repository import MAX_BYTES, RepositoryTemplates
from thrum_roles.settings import RoleAnswers, RoleConfig
from thrum_roles.shipped import catalogue

from thrum_kernel.errors import FileDamaged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / ".thrum" / "role_templates"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def templates(folder: Path) -> RepositoryTemplates:
    return RepositoryTemplates(folder.parent)


def test_roles_are_the_files_that_could_be_templates(templates: RepositoryTemplates, folder: Path) -> None:
    for name in ("b.md", "a.md", "a.md.old1", ".hidden.md", "Upper.md", "notes.txt"):
        (folder / name).write_text("x")

    assert templates.roles() == ["a", "b"]


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    nothing = RepositoryTemplates(tmp_path / ".thrum")

    assert nothing.roles() == []
    assert nothing.template("implementer") is None


@pytest.mark.parametrize("role", ["../../etc/passwd", "", ".", "a/b", "A", "a\n"])
def test_a_role_that_is_no_file_name_has_no_template(templates: RepositoryTemplates, role: str) -> None:
    assert templates.source(role) is None


def test_a_damaged_template_is_named_with_the_line_of_its_file(
    templates: RepositoryTemplates, folder: Path
) -> None:
    (folder / "tester.md").write_text("---\nschema_version: 1\n---\n\n# Role\n{{.Nope}}\n")

    with pytest.raises(FileDamaged) as told:
        templates.template("tester")

    assert str(told.value) == f"{folder / 'tester.md'}: line 6: there is no field .Nope"


def test_text_that_is_not_utf8_is_refused(templates: RepositoryTemplates, folder: Path) -> None:
    (folder / "tester.md").write_bytes(b"ab\xff")

    with pytest.raises(FileDamaged, match=r"tester\.md: is not UTF-8 text \(byte 2\)"):
        templates.template("tester")


def test_what_is_no_file_or_too_large_is_refused(templates: RepositoryTemplates, folder: Path) -> None:
    os.mkfifo(folder / "pipe.md")
    (folder / "large.md").write_bytes(b"x" * (MAX_BYTES + 1))

    with pytest.raises(FileDamaged, match="no regular file"):
        templates.source("pipe")
    with pytest.raises(FileDamaged, match="larger than"):
        templates.source("large")


def test_a_symlink_is_not_followed_for_reading(
    templates: RepositoryTemplates, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "tester.md").symlink_to(tmp_path / "secret")

    with pytest.raises(FileDamaged, match=r"tester\.md: is behind a symbolic link"):
        templates.source("tester")


def test_a_symlink_is_replaced_and_not_written_through(
    templates: RepositoryTemplates, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text("other")
    (folder / "tester.md").symlink_to(tmp_path / "other")

    templates.write("tester", "ours")

    assert (tmp_path / "other").read_text() == "other"
    assert (folder / "tester.md").read_text() == "ours"


def test_a_folder_behind_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".thrum").mkdir()
    (tmp_path / ".thrum" / "role_templates").symlink_to(tmp_path / "elsewhere")
    templates = RepositoryTemplates(tmp_path / ".thrum")

    with pytest.raises(FileDamaged, match="symbolic link"):
        templates.roles()
    with pytest.raises(FileDamaged, match="symbolic link"):
        templates.write("tester", "x")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (finding,) = findings(templates, RoleConfig(), catalogue())
    assert (finding.level, finding.remedy.split()[0]) == ("error", "ls")


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    (tmp_path / ".thrum").mkdir()
    templates = RepositoryTemplates(tmp_path / ".thrum")

    templates.write("tester", "one")
    templates.write("tester", "two")

    folder = templates.path("tester").parent
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("tester.md", "two")]


def test_set_aside_never_replaces_what_was_set_aside_before(
    templates: RepositoryTemplates, folder: Path
) -> None:
    for text in ("one", "two"):
        templates.write("tester", text)
        templates.set_aside("tester")

    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "tester.md.old1": "one",
        "tester.md.old2": "two",
    }
    assert templates.roles() == []


def test_doctor_when_all_is_well_says_so(templates: RepositoryTemplates) -> None:
    (nothing,) = findings(templates, RoleConfig(), catalogue())
    template = catalogue().named("tester-strict")
    templates.write("tester", template.body)
    answers = {"tester": RoleAnswers(autonomy="strict", rendered_hash=template.hash)}
    (one,) = findings(templates, RoleConfig(schema_version=1, roles=answers), catalogue())

    assert (nothing.level, nothing.text) == ("ok", "no role templates")
    assert (one.level, one.text) == ("ok", "1 role template")


def test_doctor_tells_every_damage_the_drift_and_what_was_never_written(
    templates: RepositoryTemplates,
) -> None:
    templates.write("tester", "{{.A}}")
    templates.write("planner", "{{if .Role}}")
    answers = {"reviewer": RoleAnswers(autonomy="strict"), "tester": RoleAnswers(autonomy="strict")}

    found = findings(templates, RoleConfig(schema_version=0, roles=answers), catalogue())

    assert [finding.level for finding in found] == ["error", "error", "warning", "warning"]
    assert [finding.remedy for finding in found[:2]] == [
        f"edit {templates.path(role)}" for role in ("planner", "tester")
    ]
    assert "roles.config.schema-bump" in found[2].text
    assert found[3].text == "answered, but never written: reviewer"
