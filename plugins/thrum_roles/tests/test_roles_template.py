"""The language of templates."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_roles.template import FIELDS, TemplateInvalid, parse

VALUES = {
    "AgentName": "impl_a",
    "Role": "implementer",
    "Module": "",
    "WorktreePath": "/w/impl a",
    "RepoRoot": "/w/main",
    "CoordinatorName": "coord",
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain { } text", "plain { } text"),
        ("@{{.AgentName}} and {{ .Role }}", "@impl_a and implementer"),
        ("{{if .Module}}m{{end}}x", "x"),
        ("{{if .Role}}r{{else}}none{{end}}", "r"),
        ("{{if .Module}}m{{else}}none{{end}}", "none"),
        ("{{if .Module}}m{{else if .Role}}r{{else}}none{{end}}!", "r!"),
        ("{{if .Module}}m{{else if .Module}}r{{else}}none{{end}}!", "none!"),
        ("{{if .Role}}a{{if .Module}}b{{else}}c{{end}}d{{else}}e{{end}}f", "acdf"),
        ("{{if .Module}}a{{if .Role}}b{{end}}c{{else}}d{{end}}", "d"),
        ("a{{/* a comment\nof two lines */}}b", "ab"),
        ("a\n{{- if .Role}}\nb\n{{- end}}\nc", "a\nb\nc"),
        ("a {{- .Role -}} b", "aimplementerb"),
        ("a\n{{if .Module -}}\n  b\n{{end -}}\n\nc", "a\nc"),
    ],
)
def test_what_is_understood(source: str, text: str) -> None:
    assert parse(source).render(VALUES) == text


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("a\n{{.Nope}}", 2, "there is no field .Nope"),
        ("{{range .Role}}x{{end}}", 1, "{{range .Role}} is not understood"),
        ("\n\n{{if not .Role}}x{{end}}", 3, "{{if not .Role}} is not understood"),
        ("{{.Role | upper}}", 1, "is not understood"),
        ("{{}}", 1, "is not understood"),
        ("a\n{{if .Role}}\n\nb", 2, "{{if .Role}} has no {{end}}"),
        ("{{if .Role}}a{{else if .Module}}b\n", 1, "{{if .Module}} has no {{end}}"),
        ("a\nb {{.Role", 2, "{{ is never closed"),
        ("a\n}} b", 2, "}} without {{"),
        ("{{if .Role}}\n{{else}}\n{{else}}\n{{end}}", 3, "a second {{else}}"),
        ("{{if .Role}}{{else}}\n{{else if .Module}}{{end}}", 2, "a second {{else}}"),
        ("\n{{else}}", 2, "{{else}} without an {{if}}"),
        ("\n\n{{end}}", 3, "{{end}} without an {{if}}"),
    ],
)
def test_what_is_refused_is_told_with_its_line(source: str, line: int, said: str) -> None:
    with pytest.raises(TemplateInvalid) as told:
        parse(source)

    assert told.value.line == line
    assert said in str(told.value)
    assert "AgentName" in told.value.hint


def test_a_body_that_begins_further_down_counts_from_there() -> None:
    with pytest.raises(TemplateInvalid, match=r"^line 7: "):
        parse("a\n\n{{.Nope}}", first_line=5)


Node = tuple[str, object]
"""A piece of a template: ``("text", …)``, ``("field", name)`` or ``("if", (name, then, otherwise))``."""

_TEXT = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), min_size=1, max_size=12)
_LEAF = st.one_of(st.tuples(st.just("text"), _TEXT), st.tuples(st.just("field"), st.sampled_from(FIELDS)))
_NODES = st.recursive(
    st.lists(_LEAF, max_size=4),
    lambda inner: st.lists(
        st.one_of(_LEAF, st.tuples(st.just("if"), st.tuples(st.sampled_from(FIELDS), inner, inner))),
        max_size=4,
    ),
    max_leaves=20,
)


def _source(nodes: list[Node]) -> str:
    parts = []
    for kind, what in nodes:
        if kind == "if":
            assert isinstance(what, tuple)
            name, then, otherwise = what
            parts.append(f"{{{{if .{name}}}}}{_source(then)}{{{{else}}}}{_source(otherwise)}{{{{end}}}}")
        else:
            parts.append(str(what) if kind == "text" else f"{{{{.{what}}}}}")
    return "".join(parts)


def _meant(nodes: list[Node], values: Mapping[str, str]) -> str:
    parts = []
    for kind, what in nodes:
        if kind == "if":
            assert isinstance(what, tuple)
            name, then, otherwise = what
            parts.append(_meant(then if values[name] else otherwise, values))
        else:
            parts.append(str(what) if kind == "text" else values[str(what)])
    return "".join(parts)


@given(_NODES, st.fixed_dictionaries({name: st.sampled_from(["", "x", "{{.Role}}"]) for name in FIELDS}))
def test_any_nesting_gives_what_it_means(nodes: list[Node], values: dict[str, str]) -> None:
    """Values are never read as template text, whatever is in them."""
    assert parse(_source(nodes)).render(values) == _meant(nodes, values)


@given(st.text(st.sampled_from("{}./*- \nifelsendRo"), max_size=40))
def test_any_text_is_rendered_or_refused(source: str) -> None:
    """Nothing but a refusal comes of a text that is no template, and what is taken leaves no ``{{`` behind."""
    try:
        rendered = parse(source).render(dict.fromkeys(FIELDS, ""))
    except TemplateInvalid as error:
        assert 1 <= error.line <= source.count("\n") + 1
        return
    assert "{{.Role" not in rendered
