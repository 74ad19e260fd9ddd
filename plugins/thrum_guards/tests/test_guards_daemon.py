"""Every checkpoint in every mode, with a real daemon and real processes."""

from __future__ import annotations

import pytest
from guards_house import House

from thrum_kernel.testing.harness import stop_daemon

MODES = ("strict", "warn", "off")


def test_without_anything_to_judge_nothing_is_said(house: House) -> None:
    claude = house.agent()

    assert claude.thrum("team").err == ""
    assert house.cli.run("team").err == ""
    assert house.fires() == []


def test_cross_worktree(house: House) -> None:
    owner = house.agent()
    stranger = house.runtime()
    told = (
        f'identity guard "cross_worktree" fired: pid_mismatch\n'
        f"  expected agent: {house.alice}\n  expected pid: {owner.pid}\n  caller pid: "
    )

    for mode in MODES:
        house.set(cross_worktree=mode)
        for in_process in (False, True):
            done = stranger.thrum("team", in_process=in_process)

            assert done.status == (1 if mode == "strict" else 0)
            assert (f"@{house.alice}" in done.out) == (mode != "strict")
            if mode == "off":
                assert done.err == ""
            else:
                assert done.err.startswith(f"{'Error' if mode == 'strict' else 'Warning'}: {told}")
                assert f"\n  caller cwd: {house.repo.path}\n  remediation: " in done.err
            fire = house.fires()[-1]
            assert fire.pop("caller_pid") > 0
            assert fire == {
                "guard": "cross_worktree",
                "mode": mode,
                "outcome": {"strict": "denied", "warn": "allowed", "off": "skipped"}[mode],
                "reason": "pid_mismatch",
                "caller_cwd": str(house.repo.path),
                "expected_agent": house.alice,
                "detected_agent": "",
                "expected_pid": owner.pid,
            }
    assert len(house.fires()) == 6


def test_cross_worktree_leaves_diagnosis_and_repo_named_alone(house: House) -> None:
    house.agent()
    stranger = house.runtime()

    for words in ("whoami",), ("agent", "list"), ("daemon", "status"), ("team", "local"):
        done = stranger.thrum(*words)
        assert done.status == 0, (words, done.err)
        assert done.err.startswith('Warning: identity guard "cross_worktree" fired: pid_mismatch\n')
        assert done.out != ""
    assert stranger.thrum("version").err == ""
    assert stranger.thrum("team", "--repo", str(house.repo.path)).status == 0
    assert stranger.thrum("team", f"--repo={house.repo.path}", cwd=house.folder).status == 0


def test_cross_worktree_concerns_runtimes_only(house: House) -> None:
    house.agent()

    assert house.cli.run("team").err == ""


def test_messages_are_judged_only_where_the_configuration_says_so(house: House) -> None:
    house.agent()
    stranger = house.runtime()

    assert stranger.thrum("send", "hello", "--to", f"@{house.alice}").status == 0
    assert stranger.thrum("inbox").status == 0
    house.cli("config", "set", "plugins.messaging_guards", '["guards"]')
    refused = stranger.thrum("send", "hello", "--to", f"@{house.alice}")
    assert refused.status == 1
    assert refused.err.startswith('Error: identity guard "cross_worktree" fired: pid_mismatch\n')


def test_dead_pid_auto_reclaim(house: House) -> None:
    first = house.agent()
    house.end(first)
    second = house.runtime()
    told = {
        "strict": 'Error: identity guard "dead_pid_auto_reclaim" fired: dead_owner_reclaimed\n',
        "off": 'Error: identity guard "cross_worktree" fired: pid_mismatch\n',
        "warn": 'Warning: identity guard "dead_pid_auto_reclaim" fired: dead_owner_reclaimed\n',
    }

    for mode in ("strict", "off"):
        house.set(dead_pid_auto_reclaim=mode)
        for in_process in (False, True):
            refused = second.thrum("team", in_process=in_process)
            assert refused.status == 1
            assert refused.err.startswith(
                f"{told[mode]}  expected agent: {house.alice}\n  expected pid: {first.pid}\n"
            )
            assert house.identity()["agent_pid"] == first.pid
            assert house.fires()[-1]["outcome"] == "denied"

    house.overlay.unlink()  # warn is what holds where nothing is said
    done = second.thrum("team")
    assert done.status == 0
    assert done.err.startswith(
        f"{told['warn']}  expected agent: {house.alice}\n  expected pid: {first.pid}\n"
    )
    assert house.identity()["agent_pid"] == second.pid
    assert house.fires()[-1]["outcome"] == "auto_reclaimed"
    assert second.thrum("team").err == ""


def test_a_reclaim_in_process_is_the_same(house: House) -> None:
    first = house.agent()
    house.end(first)
    second = house.runtime()

    done = second.thrum("team", in_process=True)

    assert done.status == 0
    assert done.err.startswith(
        'Warning: identity guard "dead_pid_auto_reclaim" fired: dead_owner_reclaimed\n'
    )
    assert house.identity()["agent_pid"] == second.pid


def test_a_diagnosis_takes_nothing_over(house: House) -> None:
    first = house.agent()
    house.end(first)
    second = house.runtime()

    done = second.thrum("whoami")

    assert done.status == 0
    assert done.err.startswith('Warning: identity guard "dead_pid_auto_reclaim" fired')
    assert house.identity()["agent_pid"] == first.pid


def test_quickstart_self_rename(house: House) -> None:
    claude = house.agent()
    told = (
        'identity guard "quickstart_self_rename" fired: caller_already_owns_identity\n'
        f"  expected agent: {house.alice}\n  detected agent: "
    )

    for mode in MODES:
        house.set(quickstart_self_rename=mode)
        name = house.named(f"bob_{mode}_")
        done = claude.thrum("quickstart", "--name", name, "--role", "tester", "--module", "core")

        assert done.status == (1 if mode == "strict" else 0)
        assert (f"{told}{name}\n" in done.err) == (mode != "off")
        assert house.has_identity(name) == (mode != "strict")
        assert house.identity()["agent_pid"] == claude.pid
    assert claude.thrum("whoami", "--field", "agent_id").out == f"{house.alice}\n"


def test_quickstart_self_rename_by_force_gives_the_identity_up(house: House) -> None:
    claude = house.agent()

    done = claude.thrum(
        "quickstart", "--name", house.named("bob"), "--role", "tester", "--module", "core", "--force"
    )

    assert (done.status, done.err) == (0, "")
    assert house.given_up()["agent_pid"] == claude.pid
    assert not house.has_identity(house.alice)
    assert claude.thrum("whoami", "--field", "agent_id").out == f"{house.named('bob')}\n"
    assert claude.thrum("team").err == ""


def test_quickstart_name_collision(house: House) -> None:
    owner = house.agent()
    other = house.runtime()
    told = (
        'identity guard "quickstart_name_collision" fired: name_held_by_live_foreign_pid\n'
        f"  expected agent: {house.alice}\n  expected pid: {owner.pid}\n"
    )

    for mode in MODES:
        house.set(quickstart_name_collision=mode)
        done = other.thrum("quickstart", "--name", house.alice, "--role", "tester", "--module", "core")

        assert done.status == 1  # what is let pass here the kernel still calls a conflict
        assert (told in done.err) == (mode != "off")
        assert (f"Conflict: @{house.alice} is held by another live runtime" in done.out) == (mode != "strict")
        assert house.identity()["agent_pid"] == owner.pid


def test_quickstart_name_collision_by_force_takes_over(house: House) -> None:
    owner = house.agent()
    other = house.runtime()

    done = other.thrum("quickstart", "--name", house.alice, "--role", "tester", "--module", "core", "--force")

    assert (done.status, done.err) == (0, "")
    assert house.given_up()["agent_pid"] == owner.pid
    assert house.identity()["agent_pid"] == other.pid


def test_prime_ownership(house: House) -> None:
    owner = house.agent()
    nested = owner.nested("codex")
    told = (
        'identity guard "prime_ownership" fired: caller_not_topmost_runtime\n'
        f"  expected agent: {house.alice}\n  detected agent: codex\n  expected pid: {owner.pid}\n"
    )

    for mode in MODES:
        house.set(prime_ownership=mode)
        done = nested.thrum("prime")

        assert done.status == (1 if mode == "strict" else 0)
        assert (told in done.err) == (mode != "off")
        assert (house.alice in done.out) == (mode != "strict")
    nested.end()
    house.overlay.unlink()
    assert owner.thrum("prime").status == 0
    assert house.cli.run("prime").status == 0


def test_daemon_writer_liveness(house: House) -> None:
    owner = house.agent()
    house.end(owner)
    told = (
        'identity guard "daemon_writer_liveness" fired: subject_pid_dead\n'
        f"  expected agent: {house.alice}\n  expected pid: {owner.pid}\n"
    )

    for mode, status in zip(MODES, ("idle", "working", "blocked"), strict=True):
        house.set(daemon_writer_liveness=mode)
        done = house.cli.run("agent", "set-status", status)

        assert done.status == (1 if mode == "strict" else 0)
        assert (told in done.err) == (mode != "off")
        assert house.identity().get("agent_status", "") == ("" if mode == "strict" else status)

    house.overlay.unlink()
    again = house.cli.run("quickstart", "--name", house.alice, "--role", "tester", "--module", "core")
    assert again.status == 0  # registering anew is the way out
    assert house.cli.run("agent", "set-status", "idle").status == 0


@pytest.mark.parametrize("mode", MODES)
def test_non_git_bootstrap(outdoors: House, mode: str) -> None:
    bare = outdoors.folder / "no-git"
    bare.mkdir()
    cli = outdoors.cli.at(bare)
    overlay = bare / ".thrum" / "var" / "guard-daemon.json"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(f'{{"non_git_bootstrap": "{mode}"}}')

    done = cli.run("init", "--non-interactive", "--no-daemon", "--roles", "skip")

    told = 'identity guard "non_git_bootstrap" fired: not_a_git_repo\n'
    try:
        assert done.status == (1 if mode == "strict" else 0), done.err
        assert (told in done.err) == (mode != "off")
        if mode == "strict":
            cli("init", "--force", "--non-interactive", "--roles", "skip")
            stop_daemon(cli)
        again = cli.run("daemon", "start")
        assert again.status == (1 if mode == "strict" else 0), again.err
        assert (told in again.err) == (mode != "off")
        assert cli.run("daemon", "start", "--force").err == ""
    finally:
        stop_daemon(cli)


def test_in_git_a_bootstrap_is_nothing_special(outdoors: House) -> None:
    done = outdoors.cli.run("init", "--non-interactive", "--roles", "skip")
    assert (done.status, "identity guard" in done.err) == (0, False)
