"""The identity file's content, and the rules for names."""

from __future__ import annotations

import pytest

from thrum_kernel.errors import InvalidName
from thrum_kernel.identity import model
from thrum_kernel.identity.model import AgentName, Identity, check_agent, check_name, sanitize


def test_decode_reads_keys_in_any_case_and_the_older_pid() -> None:
    identity = model.decode(
        {
            "Version": 3,
            "agent": {"Kind": "agent", "Name": "ada", "ROLE": "planner", "Module": "core", "Display": "Ada"},
            "claude_pid": 7,
            "agent_pid": 0,
            "Session_Id": None,
            "Color": {"b": 1},
        }
    )

    assert identity.agent == AgentName(name="ada", role="planner", module="core", display="Ada")
    assert (identity.agent_pid, identity.version, identity.session_id) == (7, 3, "")
    assert identity.extra == {"Color": {"b": 1}}


def test_agent_pid_counts_more_than_the_older_one() -> None:
    raw = {"agent": {"name": "ada"}, "claude_pid": 7, "agent_pid": 8}
    assert model.decode(raw).agent_pid == 8
    assert model.decode(dict(reversed(raw.items()))).agent_pid == 8


def test_encode_writes_lower_case_keys_leaves_empty_ones_out_and_keeps_unknown_ones() -> None:
    identity = Identity(agent=AgentName(name="ada", role="r", module="m"), version=3, extra={"Color": 1})

    assert model.encode(identity) == {
        "agent": {"kind": "agent", "name": "ada", "role": "r", "module": "m", "display": ""},
        "version": 5,
        "repo_id": "",
        "worktree": "",
        "agent_status_updated_at": "0001-01-01T00:00:00Z",
        "updated_at": "",
        "Color": 1,
    }
    assert model.decode(model.encode(identity)).extra == {"Color": 1}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({}, "has no agent"),
        ({"agent": "ada"}, "has no agent"),
        ({"agent": {}}, "names neither an agent nor a role"),
        ({"agent": {"name": 3}}, r"Expected `str`, got `int` - at `\$\.agent\.name`"),
        ({"agent": {"name": "ada"}, "agent_pid": "x"}, r"at `\$\.agent_pid`"),
    ],
)
def test_decode_says_what_does_not_fit(raw: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        model.decode(raw)


def test_an_unnamed_agent_has_the_same_id_every_time() -> None:
    unnamed = Identity(agent=AgentName(role="planner", module="core"), repo_id="r_1")

    assert unnamed.name == model.unnamed_id("r_1", "planner", "core")
    assert unnamed.name.startswith("planner_")
    assert len(unnamed.name) == len("planner_") + 10


@pytest.mark.parametrize("name", ["a", "impl_api", "0-9", "x" * 64])
def test_good_names_pass(name: str) -> None:
    check_name("agent", name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "empty"),
        ("Bob", "only lower-case"),
        ("a/b", "only lower-case"),
        ("..", "only lower-case"),
        ("a:b", "only lower-case"),
        ("naïve", "only lower-case"),
        ("a\n", "only lower-case"),
        ("x" * 300, "300 characters, at most 64"),
        ("daemon", "reserved"),
        ("everyone", "reserved"),
        ("supervisor_api", "reserved"),
    ],
)
def test_bad_agent_names_are_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidName, match=told):
        check_name("agent", name, claimed=("supervisor_*", "monitor:*"))


def test_a_refused_name_comes_with_a_better_one() -> None:
    with pytest.raises(InvalidName) as caught:
        check_name("agent", "Impl API")

    assert caught.value.hint == "try impl_api"


def test_roles_modules_and_users_have_their_own_rules() -> None:
    check_name("role", "user")
    check_name("module", "Web/api.v2")
    check_name("user", "Ada_L")
    with pytest.raises(InvalidName, match="module"):
        check_name("module", "../secret")
    with pytest.raises(InvalidName, match="at most 32"):
        check_name("user", "u" * 33)
    with pytest.raises(InvalidName, match="the module name is empty"):
        check_name("module", "")


def test_an_agent_may_not_be_called_as_its_role() -> None:
    check_agent("planner_1", "planner", "core")
    with pytest.raises(InvalidName, match="the same as its role") as caught:
        check_agent("planner", "planner", "core")
    assert "planner_core" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Repo.Name", "my_repo_name"), ("__x--", "x"), ("東", "main"), ("", "main"), ("y" * 99, "y" * 64)],
)
def test_sanitize_makes_a_name_of_anything(text: str, name: str) -> None:
    assert sanitize(text) == name
