"""Front matter: ours, and never an agent's."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_roles.front_matter import body_hash, split
from thrum_roles.template import TemplateInvalid


def test_a_file_with_front_matter_is_taken_apart() -> None:
    source = split("---\nschema_version: 3\nname: 'x'\n# why\nlist:\n  - a\n---\n\n# Role\n")

    assert (source.values["schema_version"], source.values["name"]) == ("3", "x")
    assert (source.body, source.body_line) == ("\n# Role\n", 8)


@pytest.mark.parametrize(
    "text",
    [
        "# Role\n",
        "",
        "---\n\nA rule above.\n\n---\nand below\n",
        "--- \nno key here\n",
        "text\n---\na: b\n---\n",
    ],
)
def test_a_file_without_front_matter_is_all_body(text: str) -> None:
    assert split(text).body == text
    assert split(text).body_line == 1


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff---\na: b\n---\nbody",
        "---\r\na: b\r\n---\r\nbody",
        "---\n\n# first\na: b\n---\nbody",
        "---\na: b\n...\nbody",
    ],
)
def test_front_matter_is_seen_as_people_write_it(text: str) -> None:
    assert split(text).body == "body"


def test_front_matter_that_never_ends_is_refused() -> None:
    with pytest.raises(TemplateInvalid, match=r"^line 1: front matter"):
        split("---\nschema_version: 1\n\n# Role\n")


def test_the_hash_is_of_the_body_without_leading_newlines() -> None:
    assert body_hash("\n\n# Role\n") == hashlib.sha256(b"# Role\n").hexdigest()
    assert split("---\na: b\n---\n\n\n# Role\n").hash == split("# Role\n").hash
    assert split("# Role\n\n").hash != split("# Role\n").hash


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.integers(), min_size=1), st.text())
def test_whatever_stands_in_it_the_body_is_what_follows(values: dict[str, int], body: str) -> None:
    body = body.replace("\r\n", "\n")
    head = "".join(f"{key}: {value}\n" for key, value in values.items())

    assert split(f"---\n{head}---\n{body}").body == body
