"""What doctor finds about hooks and a person's own runtimes."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtimes_plan import WritingPlan, run_step, tree
from thrum_runtimes import checks
from thrum_runtimes.presets import BUILT_IN

from thrum_kernel.api import Finding
from thrum_kernel.errors import UsageError
from thrum_kernel.testing.harness import Repo


def look(repo: Repo) -> dict[str, Finding]:
    findings = checks.hooks(BUILT_IN, repo.path, home=Path(repo.env["HOME"]))
    return {finding.text.partition(":")[0]: finding for finding in findings}


def test_nothing_installed_is_fine(repo: Repo) -> None:
    (finding,) = look(repo).values()
    assert finding.level == "ok"


def test_a_runtime_that_is_used_without_hooks_is_a_warning_with_its_remedy(repo: Repo) -> None:
    (repo.path / ".claude").mkdir()
    finding = look(repo)["claude"]
    assert (finding.level, finding.remedy) == ("warning", "thrum init --runtime claude")
    assert "missing: .claude/settings.json" in finding.text
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    assert look(repo) == {"claude": Finding("hooks", "ok", "claude: installed and current")}


def test_an_old_script_and_a_hook_that_was_taken_out_are_told(repo: Repo) -> None:
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    (repo.path / "scripts" / "thrum-check-inbox.sh").write_text("old")
    settings = repo.path / ".claude" / "settings.json"
    settings.write_text(settings.read_text().replace("HOOK_EVENT=Stop", "true"))
    finding = look(repo)["claude"]
    assert finding.text == "claude: old: .claude/settings.json, scripts/thrum-check-inbox.sh"
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    assert look(repo)["claude"].level == "ok"


def mend(repo: Repo, finding: Finding) -> str:
    return checks.write_scripts(BUILT_IN, repo.path, finding, home=Path(repo.env["HOME"]))


def test_a_script_of_ours_that_is_gone_is_written_again_and_nothing_else(repo: Repo) -> None:
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    kit = tree(repo.path)
    for name in ("thrum-check-inbox.sh", "thrum-startup.sh"):
        (repo.path / "scripts" / name).unlink()
    finding = look(repo)["claude"]
    assert (finding.level, finding.remedy) == ("warning", "thrum doctor --fix")
    assert "scripts/thrum-startup.sh" in finding.text and "scripts/thrum-check-inbox.sh" in finding.text

    assert str(repo.path / "scripts" / "thrum-startup.sh") in mend(repo, finding)

    assert tree(repo.path) == kit
    assert (repo.path / "scripts" / "thrum-startup.sh").stat().st_mode & 0o100
    assert look(repo)["claude"].level == "ok"


def test_scripts_are_not_written_where_nobody_asked_for_them_or_the_project_s_files_lack_too(
    repo: Repo,
) -> None:
    (repo.path / ".claude").mkdir()
    before = tree(repo.path)
    assert mend(repo, look(repo)["claude"]) == ""
    assert tree(repo.path) == before
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    (repo.path / "scripts" / "thrum-check-inbox.sh").unlink()
    (repo.path / "scripts" / "thrum-startup.sh").write_text("changed by hand")
    finding = look(repo)["claude"]
    assert finding.remedy == "thrum init --runtime claude" and mend(repo, finding) == ""


def test_scripts_are_not_written_through_a_link_that_leads_out(repo: Repo, tmp_path: Path) -> None:
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    for path in (repo.path / "scripts").iterdir():
        path.unlink()
    (repo.path / "scripts").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (repo.path / "scripts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="outside"):
        mend(repo, look(repo)["claude"])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_malformed_settings_file_is_an_error_of_that_runtime_alone(repo: Repo) -> None:
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "all"}))
    (repo.path / ".claude" / "settings.json").write_text("{")
    found = look(repo)
    assert found["claude"].level == "error"
    assert {name for name, finding in found.items() if finding.level == "ok"} == {
        "codex",
        "opencode",
        "cursor",
        "gemini",
        "auggie",
    }


def test_the_projects_own_instructions_are_no_concern(repo: Repo) -> None:
    (repo.path / ".kiro").mkdir()
    (repo.path / "AGENTS.md").write_text("theirs")
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "kiro-cli"}))
    assert look(repo)["kiro-cli"].level == "ok"


def test_an_old_skill_is_told(repo: Repo) -> None:
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude"}))
    run_step(WritingPlan(repo.path, repo.env, {"runtime": "claude", "skills": True}))
    assert look(repo)["claude"].level == "ok"
    (repo.path / ".claude" / "skills" / "thrum" / "SKILL.md").write_text("old")
    finding = look(repo)["claude"]
    assert finding.remedy == "thrum init --skills --runtime claude --force"


def test_a_persons_own_runtimes(tmp_path: Path) -> None:
    (ok,) = checks.user_file(tmp_path, BUILT_IN)
    assert ok.level == "ok"
    path = tmp_path / ".thrum" / "runtimes.json"
    path.parent.mkdir()
    path.write_text("{}")
    path.chmod(0o644)
    (open_,) = checks.user_file(tmp_path, BUILT_IN)
    assert (open_.level, open_.remedy) == ("warning", f"chmod 600 {path}")
    path.chmod(0o600)
    path.write_text('{"default_runtime": "gone"}')
    (unknown,) = checks.user_file(tmp_path, BUILT_IN)
    assert (unknown.level, unknown.remedy) == ("warning", "thrum runtime set-default NAME")
    path.write_text('{"custom_runtimes": {"mine": {"display_name": "Mine"}}}')
    (incomplete,) = checks.user_file(tmp_path, BUILT_IN)
    assert incomplete.level == "error" and "custom_runtimes.mine: command is missing" in incomplete.text
    path.write_text("{")
    (bad,) = checks.user_file(tmp_path, BUILT_IN)
    assert bad.level == "error"
    assert "line 1, column 2" in bad.text
