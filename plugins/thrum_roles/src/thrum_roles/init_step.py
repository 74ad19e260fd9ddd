"""The step of ``thrum init`` that writes role templates: ``--roles enhanced|default|skip``, or a question.

A template that somebody changed by hand stays, with ``--force`` too: init brings a repository up to date and takes
nothing away; `thrum roles refresh` is what writes over it, with the old text moved aside. Without an answer (no option,
no terminal) nothing is written.

Source: seed 000 "New in v0.10.0"; spec/features.md §12.4; spec/decisions.md "init, prime…".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from thrum_kernel.api import Clock, InitOption, InitPlan, InitStep, Question
from thrum_kernel.errors import FileDamaged, UsageError
from thrum_roles.methods import plugin_version, timestamp
from thrum_roles.refreshing import is_edited, known_hashes, merged
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import SECTION, RoleConfig, stored
from thrum_roles.shipped import ROLES, Catalogue, Shipped, catalogue

OPTION: Final = "roles"
SKIP: Final = "skip"
_CHOICES: Final = (
    (
        "enhanced",
        "Enhanced: coordinator (autonomous), implementer (writes only in its worktree), orchestrator",
    ),
    ("default", "Default: every role in its strict form, which asks before it acts"),
    (SKIP, "Skip: no role templates"),
)
_ENHANCED: Final = {"coordinator": "autonomous", "implementer": "worktree-write-only", "orchestrator": ""}


def step(clock: Clock) -> InitStep:
    """The step."""
    return InitStep(
        name="roles",
        order=400,
        run=lambda plan: _run(plan, clock),
        options=(
            InitOption(
                name=OPTION,
                help="Role templates: enhanced, default or skip.",
                metavar="CHOICE",
            ),
        ),
        questions=_questions,
    )


def chosen(choice: str, shipped: Catalogue) -> dict[str, Shipped]:
    """The templates that a choice means, by role."""
    autonomies = _ENHANCED if choice == "enhanced" else dict.fromkeys(ROLES, "strict")
    found = {role: shipped.find(role, autonomy) for role, autonomy in autonomies.items()}
    return {role: template for role, template in found.items() if template is not None}


def check(answer: str) -> str:
    """The choice that an answer means: its word, its first letter or its number.

    Raises:
        UsageError: it is none.
    """
    word = answer.strip().lower()
    for number, (name, _) in enumerate(_CHOICES, start=1):
        if word in (name, name[0], str(number)):
            return name
    raise UsageError(f'invalid value "{answer}" for --roles: must be enhanced, default or skip')


def _questions(plan: InitPlan) -> Sequence[Question]:
    return (
        Question(key=OPTION, prompt="Role templates", default=_default(plan), choices=_CHOICES, check=check),
    )


def _default(plan: InitPlan) -> str:
    """What Enter means: what there is, else the first choice."""
    saved = stored(_document(plan))
    if not saved.is_saved:
        return "enhanced"
    answered = {role: answer.autonomy for role, answer in saved.roles.items()}
    for choice in ("enhanced", "default"):
        if answered == {role: each.autonomy for role, each in chosen(choice, catalogue()).items()}:
            return choice
    return SKIP


def _run(plan: InitPlan, clock: Clock) -> None:
    answer = plan.options.get(OPTION)
    choice = check(str(answer)) if answer else SKIP
    if answer:
        plan.report(OPTION, choice)
    if choice == SKIP:
        return
    shipped = catalogue()
    templates = chosen(choice, shipped)
    saved = stored(_document(plan))
    _write(plan, templates, saved, shipped)
    _save(plan, merged(saved, templates), shipped, clock)


def _write(plan: InitPlan, templates: dict[str, Shipped], saved: RoleConfig, shipped: Catalogue) -> None:
    there = RepositoryTemplates(plan.thrum)
    would = "would " if plan.dry_run else ""
    for role, template in templates.items():
        path = there.path(role)
        if _is_somebodys(there, role, saved, shipped):
            plan.say(f"  {would}keep {path} (changed by hand)")
            continue
        plan.make_folder(path.parent)
        plan.write(path, template.body.encode())
        plan.say(f"  {would}write {path} ({template.name})")


def _is_somebodys(there: RepositoryTemplates, role: str, saved: RoleConfig, shipped: Catalogue) -> bool:
    """Whether a template of that role is there that is not ours; what cannot be read is not ours."""
    try:
        source = there.source(role)
    except FileDamaged:
        return True
    return source is not None and is_edited(source, known_hashes(role, saved.roles.get(role), shipped))


def _save(plan: InitPlan, config: RoleConfig, shipped: Catalogue, clock: Clock) -> None:
    plain = config.plain()
    values: dict[str, Any] = {
        "roles": plain["roles"],
        "plugin_version": plugin_version(),
        "configured_at": timestamp(clock.now_us()),
        "schema_version": shipped.schema_version,
    }
    for key, value in values.items():
        plan.configure(f"{SECTION}.{key}", value)


def _document(plan: InitPlan) -> dict[str, Any]:
    """config.json as it is before this init; empty when there is none."""
    try:
        value = json.loads((plan.thrum / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
