"""Monitors in a kernel in this process, with real commands: what is asked, refused, kept and told."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from monitor_house import is_running, python

from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import ThrumError
from thrum_kernel.testing.kernel import Agent, Kernel

SLEEP = ("sleep", "600")


@pytest.fixture(scope="module")
def clock() -> SystemClock:
    """Time that passes."""
    return SystemClock()


def start(agent: Agent, name: str, *argv: str, **params: Any) -> dict[str, Any]:
    given = {"match": "FAIL", "target": f"@{agent.name}", "cwd": str(agent.repo.path), **params}
    done: dict[str, Any] = agent.call("monitor.start", name=name, argv=list(argv or SLEEP), **given)
    return done


def show(agent: Agent, name: str) -> dict[str, Any]:
    found: dict[str, Any] = agent.call("monitor.show", id=name)
    return found


def durable(kernel: Kernel) -> list[Path]:
    folder = kernel.context("monitor").paths.durable
    return [path for path in folder.rglob("*") if path.is_file()]


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"target": "@nobody"}, "agent not found: nobody"),
    ({"target": "@re"}, "agent not found: re"),
    ({"target": "@"}, "the target is empty"),
    ({"match": "("}, "invalid match pattern: missing ): ("),
    ({"match": ""}, "invalid match pattern: it is empty"),
    ({"match": r"(a)\1"}, r"invalid match pattern: invalid escape sequence: \1"),
    ({"schedule": "61 * * * *"}, "invalid schedule: bad minute"),
    ({"schedule": "* * *"}, "invalid schedule: it has 3 fields, not 5"),
    ({"schedule": "0 0 30 2 *"}, "invalid schedule: bad day-of-month"),
    ({"debounce_seconds": 29}, "debounce must be at least 30 seconds"),
    ({"debounce_seconds": 10**9}, "debounce must be at most 7 days"),
    ({"timeout_seconds": 5}, "a timeout is for scheduled runs only"),
    ({"name": "taken"}, "monitor name already in use: taken"),
    ({"name": ""}, "the monitor name is empty"),
    ({"name": "a b"}, 'invalid monitor name "a b"'),
    ({"name": "x" * 65}, "invalid monitor name"),
    ({"argv": []}, "there is no command"),
    ({"argv": [""]}, "there is no command"),
    ({"argv": ["no-such-program"]}, "there is no program no-such-program"),
    ({"argv": ["./README.md"]}, "there is no program ./README.md"),
    ({"argv": ["sleep", "a\0b"]}, "the command holds a NUL byte"),
    ({"argv": ["sleep", "x" * 70_000]}, "the command is longer than 65536 bytes"),
    ({"cwd": "/no/such/folder"}, "the cwd is no folder: /no/such/folder"),
    ({"cwd": "src"}, "the cwd is no absolute path: src"),
    ({"env": {"A-B": "1"}}, 'invalid variable "A-B"'),
    ({"env": {"A": "x\0"}}, 'invalid variable "A"'),
    ({"env": {"THRUM_MONITOR_RUN": "x"}}, "THRUM_MONITOR_RUN is set by thrum itself"),
    ({"path": "/nowhere"}, "there is no program sleep"),
)


def test_bad_input_is_one_line_and_leaves_nothing(kernel: Kernel, rev: Agent) -> None:
    start(rev, "taken")
    before = rev.call("monitor.list", include_all=True)
    usual = {
        "name": "new",
        "argv": list(SLEEP),
        "match": "FAIL",
        "target": f"@{rev.name}",
        "cwd": str(rev.repo.path),
        "env": {"TOKEN": "hunter22"},
    }
    for params, told in BAD:
        with pytest.raises(ThrumError) as error:
            rev.call("monitor.start", **{**usual, **params})
        assert str(error.value).startswith(told) and "\n" not in str(error.value), params
    assert rev.call("monitor.list", include_all=True) == before
    assert not durable(kernel)


def test_a_command_that_cannot_become_one_leaves_nothing(kernel: Kernel, rev: Agent) -> None:
    script = rev.repo.path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(ThrumError, match=r"the command cannot be started: .*No such file"):
        start(rev, "new", "./script", env={"TOKEN": "hunter22"})
    assert rev.call("monitor.list", include_all=True) == [] and not durable(kernel)


def test_there_is_a_limit(kernel: Kernel, rev: Agent) -> None:
    config = kernel.repo.path / ".thrum" / "config.json"
    config.write_text('{"monitor": {"max_running": 2}}')
    for name in ("one", "two"):
        start(rev, name)
    with pytest.raises(ThrumError, match=r"maximum concurrent monitors reached \(2\)"):
        start(rev, "three")
    rev.call("monitor.stop", id="one")
    start(rev, "three")
    with pytest.raises(ThrumError, match=r"maximum concurrent monitors reached \(2\)"):
        rev.call("monitor.restart", id="one")
    assert [each["name"] for each in rev.call("monitor.list")] == ["two", "three"]


def test_what_is_not_there_and_who_is_nobody_is_told(kernel: Kernel, rev: Agent) -> None:
    for method in ("stop", "restart", "delete", "show", "logs", "output"):
        with pytest.raises(ThrumError, match="monitor not found: ghost"):
            rev.call(f"monitor.{method}", id="ghost")
        with pytest.raises(ThrumError, match="id is required"):
            rev.call(f"monitor.{method}")
    with pytest.raises(ThrumError, match="anonymous caller cannot invoke"):
        kernel.call("monitor.start", name="x", argv=["true"], match="x", target=f"@{rev.name}", cwd="/")
    assert kernel.call("monitor.list") == []


def test_values_of_variables_are_in_one_file_and_nowhere_else(kernel: Kernel, rev: Agent) -> None:
    start(rev, "secret", "sh", "-c", "echo FAIL $TOKEN; sleep 600", env={"TOKEN": "hunter22", "EMPTY": ""})
    kernel.until(rev.inbox)

    assert show(rev, "secret")["env"] == {"EMPTY": "<redacted>", "TOKEN": "<redacted>"}
    assert rev.inbox() == ["FAIL <redacted>"]
    (kept,) = durable(kernel)
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    rev.call("monitor.stop", id="secret")
    holders = [
        path for path in kernel.repo.path.rglob("*") if path.is_file() and b"hunter22" in path.read_bytes()
    ]
    assert holders == [kept]
    kept.unlink()
    with pytest.raises(ThrumError, match=r"monitor/env/mon_.*: No such file"):
        rev.call("monitor.restart", id="secret")
    assert show(rev, "secret")["status"] == "dead"
    rev.call("monitor.delete", id="secret")
    assert not durable(kernel)


def test_its_environment_is_small_and_its_path_that_of_its_owner(kernel: Kernel, rev: Agent) -> None:
    os.environ["THRUM_NAME_OF_SOMEBODY"] = "x"
    try:
        start(rev, "env", "env", path=f"{rev.repo.path}:/usr/bin:/bin", env={"MINE": "own"})
        kernel.until(lambda: any("MINE" in line["text"] for line in rev.call("monitor.output", id="env")))
    finally:
        del os.environ["THRUM_NAME_OF_SOMEBODY"]
    names = {line["text"].partition("=")[0] for line in rev.call("monitor.output", id="env", limit=500)}
    assert {"PATH", "MINE", "THRUM_MONITOR_RUN"} <= names
    assert not {name for name in names if name.startswith("THRUM_NAME")}
    assert f"PATH={rev.repo.path}:/usr/bin:/bin" in {
        line["text"] for line in rev.call("monitor.output", id="env", limit=500)
    }


def test_a_target_that_is_gone_is_replaced_by_who_looks_after_everybody(kernel: Kernel, rev: Agent) -> None:
    lead = kernel.agent("lead", role="coordinator")
    gone = kernel.agent("gone")
    start(lead, "orphan", "sh", "-c", "sleep 0.5; echo FAIL; sleep 600", target="@gone")
    kernel.call("agent.delete", caller=gone.caller, name="gone")
    kernel.until(lead.inbox)
    assert lead.inbox()[0].startswith("FAIL\n\n(for @gone, who is gone")
    kernel.until(lambda: show(lead, "orphan").get("rerouted_to") == "@lead")
    assert show(lead, "orphan")["target"] == "@gone"

    boss = kernel.agent("boss", role="manager")
    config = {"permission_supervisors": ["@nobody", "manager"]}
    (kernel.repo.path / ".thrum" / "config.json").write_text(json.dumps(config))
    lead.call("monitor.restart", id="orphan")
    kernel.until(boss.inbox)  # a bare word is a role, and means those who have it
    assert len(lead.inbox()) == 1
    kernel.call("agent.delete", caller=boss.caller, name="boss")
    kernel.call("agent.delete", caller=lead.caller, name="lead")


def test_an_alarm_for_nobody_is_kept_and_shown_until_somebody_comes(kernel: Kernel, rev: Agent) -> None:
    gone = kernel.agent("away")
    start(rev, "lost", "sh", "-c", "sleep 0.5; echo FAIL; sleep 600", target="@away")
    kernel.call("agent.delete", caller=gone.caller, name="away")
    kernel.until(lambda: show(rev, "lost").get("problem"))
    assert (
        show(rev, "lost")["undelivered"] == 1 and "unknown recipient: @away" in show(rev, "lost")["problem"]
    )
    rev.call("monitor.delete", id="lost")
    lead = kernel.agent("chief", role="coordinator")
    kernel.until(lead.inbox)
    kernel.until(lambda: not kernel.context("monitor").read("SELECT 1 FROM monitor_alarms", local=True))
    assert len(lead.inbox()) == 1


def test_nobody_replies_to_a_monitor(kernel: Kernel, rev: Agent) -> None:
    start(rev, "deaf", "sh", "-c", "echo FAIL; sleep 600")
    kernel.until(rev.inbox)
    (message,) = rev.call("message.list", for_agent=rev.name)["messages"]
    with pytest.raises(ThrumError, match="no-reply"):
        rev.call("message.send", content="on it", reply_to=message["message_id"])
    with pytest.raises(ThrumError, match="unknown recipient: @monitor:deaf"):
        rev.send("on it", to="@monitor:deaf")


def test_a_command_that_ends_is_started_again_and_its_status_shown(kernel: Kernel, rev: Agent) -> None:
    first = start(rev, "short", "sh", "-c", "sleep 0.2; exit 3")["pid"]
    kernel.until(lambda: show(rev, "short").get("last_exit_code") == 3)
    kernel.until(lambda: show(rev, "short").get("pid") not in (None, first))
    assert show(rev, "short")["status"] == "running"


def test_stop_restart_and_delete_from_any_state(kernel: Kernel, rev: Agent) -> None:
    made = start(rev, "one")
    assert rev.call("monitor.stop", id="one") == {"status": "stopped"}
    assert rev.call("monitor.stop", id=made["id"]) == {"status": "stopped"}
    assert not is_running(made["pid"]) and "pid" not in show(rev, "one")
    assert show(rev, "one")["last_exit_code"] == -15
    again = rev.call("monitor.restart", id="one")
    assert again["id"] == made["id"] and is_running(again["pid"])
    third = rev.call("monitor.restart", id="one")
    assert not is_running(again["pid"]) and is_running(third["pid"])
    assert rev.call("monitor.delete", id="one") == {"status": "deleted"}
    assert not is_running(third["pid"])
    assert start(rev, "one")["id"] != made["id"], "the name is free again"


def test_a_scheduled_command_waits_for_its_moment(kernel: Kernel, rev: Agent) -> None:
    made = start(rev, "later", schedule="0 0 1 1 *", timeout_seconds=60)
    found = show(rev, "later")
    assert "pid" not in made and "pid" not in found
    assert found["next_run_at"].endswith(":00:00.000000Z") and found["schedule"] == "0 0 1 1 *"
    rev.call("monitor.stop", id="later")
    assert "next_run_at" not in show(rev, "later")


def test_matches_are_listed_newest_first_and_outlive_the_output(kernel: Kernel, rev: Agent) -> None:
    code = "import time\nfor n in (1, 2, 3): print('FAIL', n)\ntime.sleep(600)"
    start(rev, "lister", *python(code))
    kernel.until(lambda: show(rev, "lister").get("suppressed") == 2)
    rev.call("monitor.stop", id="lister")
    kernel.until(lambda: len(rev.call("monitor.logs", id="lister")) == 2)
    contents = [each["content"] for each in rev.call("monitor.logs", id="lister")]
    assert contents == ["FAIL 2\n(+1 more matches suppressed in the last 1m)", "FAIL 1"]
    assert [each["text"] for each in rev.call("monitor.output", id="lister", limit=3)][-1].startswith(
        "— was ended"
    )


def test_a_briefing_tells_an_agent_of_its_monitors(kernel: Kernel, rev: Agent) -> None:
    other = kernel.agent("other")
    assert "Monitors:" not in rev.call("prime.show")["text"]
    start(rev, "mine", "sh", "-c", "sleep 600\nexit 3")
    start(other, "theirs")
    told = rev.call("prime.show")["text"]
    assert "Monitors: 1" in told and f"  mine → @{rev.name}: running, sh -c 'sleep 600 exit 3'\n" in told
    assert "theirs" not in told


def test_a_retry_of_a_start_finds_the_first(kernel: Kernel, rev: Agent) -> None:
    params = {"name": "one", "argv": list(SLEEP), "match": "F", "target": f"@{rev.name}", "cwd": "/"}
    call = kernel.daemon.dispatcher.call
    first = kernel.run(call("monitor.start", params, caller=rev.caller, request_id="r.1"))
    desk = kernel.context("monitor")
    assert desk.read("SELECT request_id FROM monitors", local=True) == [("r.1",)]
    again = kernel.run(call("monitor.start", params, caller=rev.caller, request_id="r.1"))
    assert again == first


def stop_runner(kernel: Kernel) -> int:
    """Stop the process that runs the monitors, as one that is stuck; gives its id."""
    ((runner,),) = kernel.context("monitor").read("SELECT pid FROM monitor_runner", local=True)
    os.kill(runner, signal.SIGSTOP)
    return int(runner)


def test_a_runner_that_is_stopped_is_replaced_and_a_stop_is_one_all_the_same(
    kernel: Kernel, rev: Agent
) -> None:
    (kernel.repo.path / ".thrum" / "config.json").write_text('{"monitor": {"stop_grace_seconds": 0.1}}\n')
    first, other = start(rev, "first"), start(rev, "other")
    runner = stop_runner(kernel)

    rev.call("monitor.stop", id="first")

    assert not is_running(runner) and not is_running(first["pid"]) and not is_running(other["pid"])
    kernel.until(lambda: show(rev, "other").get("pid") not in (None, other["pid"]))
    assert show(rev, "first")["status"] == "stopped"


def test_a_start_outlives_the_end_of_the_runner(kernel: Kernel, rev: Agent) -> None:
    before = start(rev, "first")["pid"]
    ((runner,),) = kernel.context("monitor").read("SELECT pid FROM monitor_runner", local=True)
    os.kill(runner, signal.SIGKILL)

    second = start(rev, "second")

    assert is_running(second["pid"]) and show(rev, "second")["status"] == "running"
    kernel.until(lambda: show(rev, "first").get("pid") not in (None, before))


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("THRUM_SOAK"), reason="ten seconds of deadlines: make soak")
def test_a_restart_replaces_a_runner_that_is_stopped(kernel: Kernel, rev: Agent) -> None:
    (kernel.repo.path / ".thrum" / "config.json").write_text('{"monitor": {"stop_grace_seconds": 0.1}}\n')
    before = start(rev, "other")["pid"]
    runner = stop_runner(kernel)
    again = rev.call("monitor.restart", id="other")
    assert not is_running(runner) and not is_running(before) and is_running(again["pid"])


def test_whoever_waits_for_the_runner_waits_longer_than_for_a_common_answer(kernel: Kernel) -> None:
    for word in ("start", "stop", "restart", "delete"):
        method = kernel.daemon.dispatcher.method(f"monitor.{word}")
        assert method is not None and method.long_poll
