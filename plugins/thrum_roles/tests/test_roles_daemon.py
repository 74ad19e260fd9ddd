"""Templates and preambles with a real daemon and real worktrees."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import ANY

from roles_team import Team
from thrum_roles.shipped import catalogue

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon

OWN = "---\nschema_version: 1\nsecret: front\n---\n\n# {{.Role}} @{{.AgentName}}\n\nAsk @{{.CoordinatorName}}.\n"


def everything(root: Path) -> dict[str, bytes]:
    """Every file that a deployment could touch, with its bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for name in ("context", "role_templates")
        for path in sorted((root / ".thrum" / name).rglob("*"))
        if path.is_file()
    }


def test_deploy_writes_each_preamble_into_its_own_worktree(team: Team) -> None:
    team.template("implementer", f"{OWN}In {{{{.WorktreePath}}}} of {{{{.RepoRoot}}}}.\n")
    team.template("coordinator", OWN)
    seen = [repo.git("status", "--porcelain") for repo in (team.main, team.impl)]

    said = team.cli.at(team.impl.path)("roles", "deploy")

    assert said.splitlines()[-1] == "Updated 2/3 agents"
    assert "@test_b: no template for tester" in said
    text = team.preamble("impl_a")
    assert text.startswith(
        f"# implementer @impl_a\n\nAsk @coord.\nIn {team.impl.path} of {team.main.path}.\n\n---\n\n# Working with Thrum\n"
    )
    assert team.preamble("coord").startswith("# coordinator @coord\n")
    assert "secret" not in text + team.preamble("coord")
    written = {path.name for path in (team.main.path / ".thrum" / "context").iterdir()}
    assert not {"impl_a_preamble.md", "test_b_preamble.md"} & written
    assert [repo.git("status", "--porcelain") for repo in (team.main, team.impl)] == seen


def test_deploy_of_one_agent_adds_its_overlay_and_leaves_the_others(team: Team) -> None:
    for role in ("implementer", "coordinator"):
        team.template(role, OWN)
    overlay = team.impl.path / ".thrum" / "context" / "impl_a.md"
    overlay.parent.mkdir(exist_ok=True)
    overlay.write_text("Mind the tests.\n")
    team.cli.at(team.impl.path)("context", "save", stdin=b"what I did")
    before = team.preamble("coord")

    said = team.cli("roles", "deploy", "--agent", "@impl_a")

    assert said.splitlines()[-1] == "Deployed preamble for impl_a"
    assert team.preamble("impl_a").endswith("\n---\n\nMind the tests.\n")
    assert "what I did" not in team.preamble("impl_a"), "saved context is no overlay"
    assert team.preamble("coord") == before


def test_a_dry_run_writes_nothing_and_ends_saying_so(team: Team) -> None:
    team.template("implementer", OWN)
    roots = [repo.path for repo in (team.main, team.impl, team.test)]
    before = [everything(root) for root in roots]

    for_all = team.cli("roles", "deploy", "--dry-run")
    for_one = team.cli("roles", "deploy", "--dry-run", "--agent", "impl_a")
    value = team.cli.json("roles", "deploy", "--dry-run", "--agent", "impl_a")

    assert [everything(root) for root in roots] == before
    assert for_all.splitlines()[-1] == for_one.splitlines()[-1] == "Dry run — no files written"
    assert "# implementer @impl_a" in for_one
    assert (value["dry_run"], value["updated"], value["agents"][0]["outcome"]) == (True, 1, "would update")


def test_a_malformed_template_is_named_with_its_line_and_nothing_is_written(team: Team) -> None:
    team.template("coordinator", OWN)
    path = team.template("tester", "# Role\n\n{{.Wrong}}\n")
    before = team.preamble("coord")

    said = team.cli.refused("roles", "deploy")

    assert said.startswith(f"Error: {path}: line 3: there is no field .Wrong\n")
    assert team.preamble("coord") == before
    assert "line 3" in team.cli("roles", "list")
    looked = json.loads(team.cli.run("doctor", "--json").out)
    assert f"{path}: line 3: there is no field .Wrong" in json.dumps(looked)
    briefing = team.cli.at(team.test.path)("prime")
    assert "# Role: tester" in briefing and f"{path}: line 3" in briefing


def test_a_briefing_has_the_role_before_anything_is_deployed(team: Team) -> None:
    team.template("implementer", OWN)

    with_template = team.cli.at(team.impl.path)("prime")
    without = team.cli.at(team.test.path)("prime")

    assert "# Agent Instructions\n\n# implementer @impl_a\n\nAsk @coord.\n" in with_template
    assert "secret" not in with_template
    assert "You are @test_b, tester of the module auth." in without


def test_list_tells_templates_agents_and_who_has_none(team: Team) -> None:
    empty = team.cli("roles", "list")
    team.template("implementer", catalogue().named("implementer-strict").body)
    team.template("coordinator", OWN)

    said = team.cli("roles", "list").splitlines()
    online = team.cli.at(team.test.path).json("roles", "list")
    stop_daemon(team.cli)
    offline = team.cli.at(team.test.path).json("roles", "list")

    assert empty == "No role templates found in .thrum/role_templates/\n"
    assert said[1:] == [
        "  coordinator  (your own text)  @coord",
        "  implementer  (shipped)  @impl_a",
        "  @test_b: no template for tester",
    ]
    assert online["without_template"] == [{"agent_id": "test_b", "role": "tester"}]
    assert online["drift"]["code"] == "roles.config.migration"
    assert offline == online, "the files tell the same with no daemon"
    assert not (team.main.path / ".thrum/var/thrum.sock").exists(), "and none was started"
    team.cli("daemon", "start")


def test_drift_from_migration_to_peace(team: Team) -> None:
    path = team.template("implementer", catalogue().named("implementer-strict").body)
    own = team.template("designer", "ours\n")

    def codes() -> list[str]:
        hints = team.cli.json("prime").get("hints", [])
        return [hint["code"] for hint in hints if hint["code"].startswith("roles.")]

    assert codes() == ["roles.config.migration"]
    assert "warn [roles.config.migration]" in team.cli.run("prime").err
    adopted = team.cli.json("roles", "refresh")
    assert {each["role"]: each["action"] for each in adopted["templates"]} == {
        "implementer": "adopted",
        "designer": "own",
    }
    assert codes() == []

    config = team.main.path / ".thrum" / "config.json"
    value = json.loads(config.read_text())
    value["role_config"]["roles"]["implementer"]["rendered_hash"] = "0" * 64
    config.write_text(json.dumps(value))
    assert codes() == ["roles.config.body-diff"]

    value["role_config"]["schema_version"] = 0
    config.write_text(json.dumps(value))
    assert codes() == ["roles.config.schema-bump"]

    path.write_text("changed by hand\n")
    done = team.cli.json("roles", "refresh")
    (written,) = [each for each in done["templates"] if each["role"] == "implementer"]
    assert Path(written["aside"]).read_text() == "changed by hand\n"
    assert path.read_text() == catalogue().named("implementer-strict").body
    assert own.read_text() == "ours\n"
    assert codes() == []


def test_answers_are_saved_then_written_then_deployed(team: Team) -> None:
    given = {"roles": {"implementer": {"autonomy": "worktree-write-only", "scope": "module"}}}

    said = team.cli("roles", "save-config", stdin=json.dumps(given).encode())
    written = team.cli("roles", "refresh")
    team.cli("roles", "deploy")

    assert said.splitlines() == ["✓ Role configuration saved for 1 role", "Next: thrum roles refresh"]
    assert "✓ implementer: written from implementer-worktree-write-only" in written
    saved = json.loads((team.main.path / ".thrum" / "config.json").read_text())["role_config"]
    body = catalogue().named("implementer-worktree-write-only")
    assert saved["roles"]["implementer"] == {**given["roles"]["implementer"], "rendered_hash": body.hash}
    assert (saved["schema_version"], saved["plugin_version"]) == (1, "0.11.0")
    assert "## Scope\n\nYou may change what belongs to the module `auth`" in team.preamble("impl_a")


def test_what_is_refused_changes_nothing(team: Team) -> None:
    stranger = team.cli.at(team.main.worktree("stranger").path)
    before = (team.main.path / ".thrum" / "config.json").read_bytes()
    cases = {
        b'{"roles": {}, "colour": "red"}': 'unknown key "colour"',
        b'{"roles": {"tester": {"autonomy": "strict", "mood": 1}}}': 'unknown key "roles.tester.mood"',
        b'{"roles": {"tester": {"autonomy": "wild"}}}': 'role tester has no form "wild"',
        b"[]": "standard input is no JSON object",
        b"{": "standard input is no JSON",
        b"": "standard input is no JSON",
    }

    for data, said in cases.items():
        assert said in team.cli.refused("roles", "save-config", stdin=data)
    assert "no answers about roles are saved" in team.cli.refused("roles", "refresh")
    assert "agent nobody not found" in team.cli.refused("roles", "deploy", "--agent", "nobody")
    said = team.cli.refused("roles", "deploy", "--agent", "test_b")
    assert "role tester has no template in .thrum/role_templates/" in said
    assert 'anonymous caller cannot invoke "roles.deploy"' in stranger.refused("roles", "deploy")
    assert stranger.json("roles", "list") == {"templates": [], "without_template": ANY}

    assert (team.main.path / ".thrum" / "config.json").read_bytes() == before
    assert not (team.main.path / ".thrum" / "role_templates").exists()


def test_print_needs_neither_daemon_nor_repository(cli: Cli, tmp_path: Path) -> None:
    template = catalogue().named("reviewer-strict")

    assert cli.at(tmp_path)("roles", "templates", "print", "reviewer-strict") == template.body
    value = cli.at(tmp_path).json("roles", "templates", "print", "reviewer-strict")
    assert (value["body_hash"], value["schema_version"]) == (template.hash, template.schema_version)
    assert "role template not found: nope" in cli.refused("roles", "templates", "print", "nope")


def test_init_writes_templates_into_the_shared_folder_and_config(cli: Cli, repo: Repo) -> None:
    dry = cli.json("init", "--non-interactive", "--no-daemon", "--dry-run", "--roles", "enhanced")
    assert not (repo.path / ".thrum").exists()
    listed = {Path(file["path"]).name for file in dry["files"]}
    assert {"coordinator.md", "implementer.md", "orchestrator.md"} <= listed

    cli("init", "--non-interactive", "--no-daemon", "--roles", "enhanced")

    config = json.loads((repo.path / ".thrum" / "config.json").read_text())
    assert set(config["role_config"]["roles"]) == {"coordinator", "implementer", "orchestrator"}
    listed_now = cli.json("roles", "list")
    assert [each["origin"] for each in listed_now["templates"]] == ["shipped"] * 3
    assert "drift" not in listed_now
    assert "must be enhanced, default or skip" in cli.refused(
        "init", "--force", "--non-interactive", "--no-daemon", "--roles", "all"
    )


def test_a_template_that_was_emptied_is_not_told_as_shipped(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive", "--no-daemon", "--roles", "enhanced")
    (repo.path / ".thrum" / "role_templates" / "coordinator.md").write_text("")
    origins = {each["role"]: each["origin"] for each in cli.json("roles", "list")["templates"]}
    assert origins == {"coordinator": "edited", "implementer": "shipped", "orchestrator": "shipped"}
    (said,) = (line for line in cli("roles", "list").splitlines() if "  coordinator  " in line)
    assert "changed by hand" in said and "shipped" not in said


def test_init_again_keeps_what_was_changed_by_hand(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive", "--no-daemon", "--roles", "enhanced")
    path = repo.path / ".thrum" / "role_templates" / "coordinator.md"
    path.write_text("ours\n")

    said = cli("init", "--force", "--non-interactive", "--no-daemon", "--roles", "default")

    assert path.read_text() == "ours\n"
    assert f"keep {path} (changed by hand)" in said
    assert len(list(path.parent.iterdir())) == 10


def test_a_word_that_the_plugin_does_not_know_is_no_reason_to_install_it(team: Team) -> None:
    assert "did you mean thrum roles deploy?" in team.cli.refused("roles", "dpeloy")
