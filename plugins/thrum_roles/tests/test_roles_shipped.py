"""The shipped templates: there for every role, rendered whole, and about commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from thrum_roles.plugin import MANIFEST
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.role_text import fields_of, role_text
from thrum_roles.scope import NAMES
from thrum_roles.settings import RoleAnswers, RoleConfig
from thrum_roles.shipped import ROLES, catalogue, made_of
from thrum_roles.template import parse

from thrum_kernel.api import AgentInfo
from thrum_kernel.cli.app import kernel_tree
from thrum_kernel.errors import NotFound

TEMPLATES = catalogue().templates
WITH_TWO_FORMS = [role for role in ROLES if role != "orchestrator"]


def agent(role: str, module: str) -> AgentInfo:
    return AgentInfo(
        name="bob_1", role=role, module=module, worktree=Path("/w/bob"), thrum=Path("/w/bob/.thrum")
    )


def test_every_role_of_the_specification_has_its_forms() -> None:
    expected = {f"{role}-{autonomy}" for role in WITH_TWO_FORMS for autonomy in ("autonomous", "strict")}

    assert set(catalogue().names) == expected | {"implementer-worktree-write-only", "orchestrator"}
    assert {template.role for template in TEMPLATES} == set(ROLES)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
@pytest.mark.parametrize("module", ["auth", ""])
@pytest.mark.parametrize("scope", ["", *NAMES])
def test_it_renders_with_nothing_left_over(template, module: str, scope: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    templates = RepositoryTemplates(tmp_path)
    templates.write(template.role, f"---\nschema_version: {template.schema_version}\n---\n\n{template.body}")
    fields = fields_of(agent(template.role, module), repo=Path("/w/main"), coordinator="coord_x")
    config = RoleConfig(roles={template.role: RoleAnswers(autonomy=template.autonomy, scope=scope)})

    text = role_text(templates, config, template.role, fields)

    assert text is not None
    assert text.startswith("# Role: ") and "@bob_1" in text
    assert not re.search(r"\{\{|\}\}|schema_version|``|@[ ,.]|\n\n\n", text)
    assert ("## Scope" in text) == bool(scope)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_it_says_what_to_do_first_how_to_report_and_what_not_to_touch(template) -> None:  # type: ignore[no-untyped-def]
    headings = re.findall(r"^## (.*)$", template.body, re.MULTILINE)

    assert "First, in every session" in headings
    assert any(heading.startswith("Reporting") for heading in headings)
    assert headings[-1] == "What you do not touch"


MAY_BE_MISSING = {("worktree", "create"), ("worktree", "teardown")}
"""Commands of another plugin; the template says what to do without them."""


def test_every_command_they_name_exists_with_its_options() -> None:
    tree = kernel_tree()
    ours = {command.words for command in MANIFEST.commands} | MAY_BE_MISSING
    known = dict(tree.root.commands())
    said = {code for template in TEMPLATES for code in re.findall(r"`thrum ([^`]+)`", template.body)}
    assert len(said) > 20

    for code in sorted(said):
        plain = re.match(r"[a-z-]+( [a-z-]+)*", code)
        assert plain is not None
        words = tuple(plain[0].split())
        depth = next((n for n in range(len(words), 0, -1) if words[:n] in {*known, *ours}), 0)
        assert depth, f"thrum {code}"
        if words[:depth] in ours:
            continue
        options = {option for param in tree.parser(known[words[:depth]]).params for option in param.opts}
        assert set(re.findall(r"--[a-z-]+", code)) <= options, f"thrum {code}"


def test_they_name_only_states_that_an_agent_can_be_in() -> None:
    said = {word for each in TEMPLATES for word in re.findall(r"set-status (\w+)", each.body)}

    assert said <= {"working", "idle", "blocked", "stuck"}


def test_find_prefers_the_form_and_falls_back_to_the_role() -> None:
    texts = made_of([("a-strict", "---\nschema_version: 1\n---\nx"), ("a", "---\nschema_version: 2\n---\ny")])

    assert [texts.find(*pair).name for pair in (("a", "strict"), ("a", "loose"))] == ["a-strict", "a"]  # type: ignore[union-attr]
    assert texts.find("b", "strict") is None
    assert texts.find("a-strict", "") is None, "a role is not the name of a file"
    assert texts.schema_version == 2


def test_named_when_there_is_none_lists_what_there_is() -> None:
    assert catalogue().named("orchestrator-strict").name == "orchestrator"
    with pytest.raises(NotFound) as told:
        catalogue().named("nobody-strict")

    assert "implementer-worktree-write-only" in told.value.hint


def test_the_language_reads_them_all() -> None:
    for template in TEMPLATES:
        parse(template.body)
