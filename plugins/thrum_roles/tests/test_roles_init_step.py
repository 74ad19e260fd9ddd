"""The step of ``init``: what a choice means, what it writes, what it leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from thrum_roles.init_step import check, chosen, step
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.shipped import ROLES, catalogue

from thrum_kernel.briefing.wizard import Wizard
from thrum_kernel.errors import UsageError
from thrum_kernel.testing.init_plan import FakePlan


@dataclass
class FixedClock:
    at_us: int = 1_700_000_000_000_001

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return 0.0


STEP = step(FixedClock())
HAND_WRITTEN = "# Our coordinator\n\nWith {{.AgentName}}.\n"


def plan(repo: Path, choice: str | None, **other: Any) -> FakePlan:
    made = FakePlan(repo, options={} if choice is None else {"roles": choice}, **other)
    STEP.run(made)
    return made


def written(repo: Path) -> dict[str, str]:
    templates = RepositoryTemplates(repo / ".thrum")
    return {role: templates.path(role).read_text() for role in templates.roles()}


def save(repo: Path, role_config: dict[str, Any]) -> None:
    (repo / ".thrum").mkdir(exist_ok=True)
    (repo / ".thrum" / "config.json").write_text(json.dumps({"role_config": role_config}))


def answered(done: FakePlan) -> dict[str, Any]:
    """What the step put into ``role_config``."""
    assert all(key.startswith("role_config.") for key in done.configured)
    return {key.partition(".")[2]: value for key, value in done.configured.items()}


def test_enhanced_writes_its_three_and_notes_the_answers(tmp_path: Path) -> None:
    done = plan(tmp_path, "enhanced")

    forms = {"coordinator": "coordinator-autonomous", "implementer": "implementer-worktree-write-only"}
    expected = {**forms, "orchestrator": "orchestrator"}
    assert written(tmp_path) == {role: catalogue().named(name).body for role, name in expected.items()}
    saved = answered(done)
    assert {role: each["autonomy"] for role, each in saved["roles"].items()} == {
        "coordinator": "autonomous",
        "implementer": "worktree-write-only",
        "orchestrator": "",
    }
    assert saved["configured_at"] == "2023-11-14T22:13:20.000001Z"
    assert (saved["schema_version"], done.reported) == (catalogue().schema_version, {"roles": "enhanced"})


def test_default_writes_every_role_in_its_strict_form(tmp_path: Path) -> None:
    plan(tmp_path, "default")

    assert set(written(tmp_path)) == set(ROLES)
    assert written(tmp_path)["tester"] == catalogue().named("tester-strict").body


def test_no_template_that_it_writes_has_front_matter(tmp_path: Path) -> None:
    plan(tmp_path, "default")
    plan(tmp_path, "enhanced")

    assert all(text.startswith("# Role: ") for text in written(tmp_path).values())


@pytest.mark.parametrize("choice", ["skip", None])
def test_skip_and_no_answer_do_nothing(tmp_path: Path, choice: str | None) -> None:
    done = plan(tmp_path, choice)

    assert list(tmp_path.iterdir()) == []
    assert (done.configured, done.said) == ({}, [])


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(tmp_path: Path) -> None:
    done = plan(tmp_path, "enhanced", dry_run=True)

    assert list(tmp_path.iterdir()) == []
    assert [line.split()[:2] for line in done.said] == [["would", "write"]] * 3


@pytest.mark.parametrize("force", [False, True])
def test_a_template_changed_by_hand_stays_also_with_force(tmp_path: Path, force: bool) -> None:
    plan(tmp_path, "enhanced")
    (tmp_path / ".thrum/role_templates/coordinator.md").write_text(HAND_WRITTEN)

    done = plan(tmp_path, "default", force=force)

    assert written(tmp_path)["coordinator"] == HAND_WRITTEN
    assert written(tmp_path)["implementer"] == catalogue().named("implementer-strict").body
    assert any("keep" in line and "coordinator.md (changed by hand)" in line for line in done.said)


def test_a_text_that_was_shipped_when_it_was_written_is_replaced(tmp_path: Path) -> None:
    templates = RepositoryTemplates(tmp_path / ".thrum")
    (tmp_path / ".thrum").mkdir()
    templates.write("coordinator", "of an earlier thrum\n")
    source = templates.source("coordinator")
    assert source is not None
    save(
        tmp_path,
        {"schema_version": 1, "roles": {"coordinator": {"autonomy": "x", "rendered_hash": source.hash}}},
    )

    plan(tmp_path, "enhanced")

    assert written(tmp_path)["coordinator"] == catalogue().named("coordinator-autonomous").body


def test_what_cannot_be_read_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".thrum/role_templates").mkdir(parents=True)
    (tmp_path / ".thrum/role_templates/coordinator.md").write_bytes(b"\xff")

    plan(tmp_path, "enhanced")

    assert (tmp_path / ".thrum/role_templates/coordinator.md").read_bytes() == b"\xff"


def test_answers_about_other_roles_and_scopes_stay(tmp_path: Path) -> None:
    roles = {"designer": {"autonomy": "wild"}, "coordinator": {"autonomy": "strict", "scope": "repository"}}
    save(tmp_path, {"schema_version": 1, "roles": roles})

    saved = answered(plan(tmp_path, "enhanced"))["roles"]

    assert saved["designer"]["autonomy"] == "wild"
    assert (saved["coordinator"]["autonomy"], saved["coordinator"]["scope"]) == ("autonomous", "repository")


@pytest.mark.parametrize(
    ("answer", "choice"),
    [("1", "enhanced"), ("2", "default"), ("3", "skip"), ("Enhanced ", "enhanced"), ("skip", "skip")],
)
def test_an_answer_is_a_word_or_its_number(answer: str, choice: str) -> None:
    assert check(answer) == choice


@pytest.mark.parametrize("answer", ["", "4", "0", "enhance", "none"])
def test_any_other_answer_is_refused_before_anything_is_written(tmp_path: Path, answer: str) -> None:
    with pytest.raises(UsageError, match="must be enhanced, default or skip"):
        check(answer)
    if answer:
        with pytest.raises(UsageError):
            plan(tmp_path, answer)
    assert list(tmp_path.iterdir()) == []


@dataclass
class Typed:
    """A terminal where these lines are typed."""

    lines: list[str]
    shown: str = ""

    def tell(self, text: str) -> None:
        self.shown += text

    def ask(self, prompt: str) -> str:
        self.shown += prompt
        return self.lines.pop(0)


@pytest.mark.parametrize(("typed", "choice"), [("", "enhanced"), ("2", "default"), ("skip", "skip")])
def test_the_wizard_numbers_the_choices_and_enter_takes_the_first(
    tmp_path: Path, typed: str, choice: str
) -> None:
    terminal = Typed(["7", typed])

    answers = Wizard(terminal).ask([STEP], FakePlan(tmp_path))

    assert answers == {"roles": choice}
    assert "\n  1) Enhanced" in terminal.shown and "\n  2) Default" in terminal.shown
    assert terminal.shown.endswith("Choose [1]: ")


def question(repo: Path) -> Any:
    assert STEP.questions is not None
    (found,) = STEP.questions(FakePlan(repo))
    return found


def test_the_question_offers_enhanced_first(tmp_path: Path) -> None:
    asked = question(tmp_path)

    assert [value for value, _ in asked.choices] == ["enhanced", "default", "skip"]
    assert (asked.key, asked.default) == ("roles", "enhanced")


@pytest.mark.parametrize("choice", ["enhanced", "default"])
def test_asked_again_enter_means_what_was_answered(tmp_path: Path, choice: str) -> None:
    roles = {role: {"autonomy": each.autonomy} for role, each in chosen(choice, catalogue()).items()}
    save(tmp_path, {"schema_version": 1, "roles": roles})

    assert question(tmp_path).default == choice


def test_asked_again_after_answers_of_ones_own_enter_leaves_them(tmp_path: Path) -> None:
    save(tmp_path, {"schema_version": 1, "roles": {"tester": {"autonomy": "strict"}}})

    assert question(tmp_path).default == "skip"
