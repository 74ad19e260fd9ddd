"""Sessions by the commands, on a real tmux server whose indices begin at 1 and which keeps no unattached session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux_house import House

from thrum_kernel.testing.tmux import TmuxServer
from thrum_kernel.testing.waiting import until


def environment(house: House, session: str) -> dict[str, str]:
    """What programs find that begin in a session now."""
    house.tmux(
        "new-window",
        "-d",
        "-t",
        f"={session}:",
        "-c",
        "#{session_path}",
        "-n",
        "env",
        "env > env.txt; exec cat",
    )
    path = house.tmux("display-message", "-p", "-t", f"={session}:env", "#{session_path}")
    file = f"{path}/env.txt"
    until(
        lambda: (
            house.tmux("display-message", "-p", "-t", f"={session}:env", "#{pane_current_command}") == "cat"
        )
    )
    with open(file) as lines:  # noqa: PTH123
        found = dict(line.rstrip("\n").partition("=")[::2] for line in lines)
    house.tmux("kill-window", "-t", f"={session}:env")
    return found


@pytest.fixture
def foreign_socket(house: House) -> Iterator[None]:
    """The server's environment names another daemon's socket; other files' tests share the server."""
    house.tmux("set-environment", "-g", "THRUM_SOCKET", "/elsewhere")
    yield
    house.tmux("set-environment", "-g", "-u", "THRUM_SOCKET")


@pytest.mark.usefixtures("foreign_socket")
def test_an_agent_registers_from_inside_its_session(house: House) -> None:
    name = house.fresh()

    worktree = house.create(name, "--intent", 'a=b; "c" $HOME', "--runtime", "fake-agent")

    identity = house.identity(worktree)
    assert (identity["agent"]["name"], identity["tmux_session"]) == (name, f"{name}:1.1")
    assert (identity["intent"], identity["preferred_runtime"]) == ('a=b; "c" $HOME', "fake-agent")
    found = house.status(name)
    assert found is not None
    assert (found["state"], found["agent"], found["branch"]) == ("alive", name, name)
    env = environment(house, name)
    assert (env["THRUM_NAME"], env["THRUM_INTENT"]) == (name, 'a=b; "c" $HOME')
    assert "THRUM_SOCKET" not in env
    assert name in house.heard()


def test_a_name_with_dots_is_one_name_everywhere(house: House) -> None:
    name = house.fresh("a.b.")
    worktree = house.repo.worktree(name).path
    words = ("--name", "dotty", "--role", "implementer", "--module", "api")

    house.cli("tmux", "create", name, "--cwd", str(worktree), *words)

    assert house.identity(worktree)["tmux_session"] == f"{name.replace('.', '-')}:1.1"
    assert "exists" in house.cli.refused("tmux", "create", name, "--cwd", str(worktree), *words)
    house.cli("tmux", "send", name, "echo 'by the' dotted name")
    until(lambda: "by the dotted name" in house.cli("tmux", "capture", name))
    house.cli("tmux", "kill", name)
    assert "tmux_session" not in house.identity(worktree)
    assert "dotty" in house.cli("team", "--all")


def test_force_makes_a_session_anew(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)
    before = house.tmux("display-message", "-p", "-t", f"={name}:", "#{session_id}")
    words = ("--cwd", str(worktree), "--name", name, "--role", "implementer", "--module", "api", "--force")

    house.cli("tmux", "create", name, *words)

    assert house.tmux("display-message", "-p", "-t", f"={name}:", "#{session_id}") != before
    assert house.identity(worktree)["tmux_session"] == f"{name}:1.1"


def test_another_session_for_a_worktree_is_refused(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)

    said = house.cli.refused(
        "tmux",
        "create",
        "other",
        "--cwd",
        str(worktree),
        "--name",
        name,
        "--role",
        "implementer",
        "--module",
        "api",
    )

    assert f'session "{name}" already has {worktree}' in said
    assert house.status("other") is None


def test_a_session_of_somebody_else_is_never_ended(house: House) -> None:
    name = house.fresh("personal")
    house.tmux("new-session", "-d", "-s", name, ";", "set-option", "destroy-unattached", "off")
    worktree = house.repo.worktree(name).path
    words = ("--name", name, "--role", "implementer", "--module", "api", "--force")

    said = house.cli.refused("tmux", "create", name, "--cwd", str(worktree), *words)

    assert "thrum did not make it" in said
    assert house.tmux("has-session", "-t", f"={name}") == ""
    assert "not found" in house.cli.refused("tmux", "kill", name)


def test_the_main_checkout_only_when_asked_for(house: House) -> None:
    words = ("--cwd", str(house.repo.path), "--name", "boss", "--role", "coordinator", "--module", "all")

    said = house.cli.refused("tmux", "create", "main-session", *words)
    assert "not a git worktree" in said
    assert house.status("main-session") is None

    house.cli("tmux", "create", "main-session", *words, "--main")
    found = house.status("main-session")
    assert found is not None
    assert found["agent"] == "boss"
    house.cli("tmux", "kill", "main-session")


def test_who_cannot_be_registered_is_told_before_anything_is_made(house: House) -> None:
    name, taken = house.fresh(), house.fresh()
    worktree, other = house.repo.worktree(name).path, house.create(taken)
    before = house.tmux("list-sessions", "-F", "#{session_id} #{session_name}")
    for words, said in (
        (("--name", "api", "--role", "api"), 'agent name "api" is the same as its role'),
        (("--name", "A b", "--role", "tester"), 'invalid agent name "A b"'),
        (("--name", "daemon", "--role", "tester"), 'invalid agent name "daemon": it is reserved'),
        (("--name", name, "--role", "Te ster"), 'invalid role name "Te ster"'),
        (("--name", name, "--role", taken), f'role "{taken}" is already the name of an agent'),
        (
            ("--name", taken, "--role", "implementer"),
            f'agent "{taken}" is already registered in a different worktree ({other})',
        ),
    ):
        told = house.cli.refused("tmux", "create", name, "--cwd", str(worktree), *words, "--module", "api")
        assert told.startswith(f"Error: {said}"), told
    again = ("--cwd", str(other), "--name", taken, "--role", "te ster", "--module", "api", "--force")
    house.cli.refused("tmux", "create", taken, *again)

    assert house.tmux("list-sessions", "-F", "#{session_id} #{session_name}") == before
    assert not (worktree / ".thrum").exists()


def test_a_registration_that_fails_leaves_no_session(house: House) -> None:
    name = house.fresh()
    worktree = house.repo.worktree(name).path
    folder = worktree / ".thrum" / "identities"
    folder.mkdir(parents=True)
    (folder / f"{name}.json").write_text("not JSON\n")
    words = ("--name", name, "--role", "tester", "--module", "api")

    said = house.cli.refused("tmux", "create", name, "--cwd", str(worktree), *words)

    assert "quickstart did not write identity file" in said and "the session was ended" in said
    assert house.status(name) is None
    assert name not in house.tmux("list-sessions", "-F", "#{session_name}").split("\n")


def test_wrong_words_make_nothing(house: House) -> None:
    before = house.tmux("list-sessions")
    empty = house.repo.worktree(house.fresh()).path

    assert "quickstart flags required" in house.cli.refused("tmux", "create", "x", "--cwd", str(empty))
    assert "invalid session name" in house.cli.refused("tmux", "create", "...", "--no-agent")
    nowhere = str(house.repo.path / "nowhere")
    said = house.cli.refused("tmux", "create", "lost", "--no-agent", "--cwd", nowhere)
    assert said.startswith(f"Error: cwd {nowhere} is not a folder\n")
    assert 'invalid runtime name "a b"' in house.cli.refused("tmux", "launch", "nowhere", "--runtime", "a b")
    assert "no stored cwd available" in house.cli.refused("tmux", "launch", "nowhere")
    assert 'session "nowhere" not found' in house.cli.refused("tmux", "send", "nowhere", "x")

    assert house.tmux("list-sessions") == before


def test_a_session_is_made_again_for_who_lives_there(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name, "--intent", "go on")
    house.cli("tmux", "kill", name)

    said = house.cli.refused("tmux", "launch", name).splitlines()

    assert said[0] == f'Error: session "{name}" not found and no stored cwd available'
    assert said[1] == f"Hint: thrum tmux create {name} --cwd {worktree}"
    house.cli(*said[1].split()[2:])
    assert (house.status(name) or {})["agent"] == name
    assert house.identity(worktree)["agent"]["role"] == "implementer"


def test_force_on_another_server_ends_what_is_in_the_way_and_nothing_else(
    house: House, tmux_server: TmuxServer
) -> None:
    name, other = house.fresh(), house.fresh()
    worktree = house.create(name)
    words = ("--cwd", str(worktree), "--name", name, "--role", "implementer", "--module", "api", "--force")
    tmux_server("new-session", "-d", "-s", other)
    tmux_server("new-session", "-d", "-s", name)
    house.cli("config", "set", "tmux.socket", str(tmux_server.path))
    try:
        foreign = house.cli.refused("tmux", "create", name, *words)
        assert f'session "{name}" already exists, and thrum did not make it here' in foreign
        assert (house.status(name) or {})["state"] == "alive", "nothing was ended in vain"
        tmux_server("kill-session", "-t", f"={name}")
        made = house.cli("tmux", "create", name, *words)
        assert made.startswith(f"✓ Session created: {name}\n")
        assert name not in house.tmux("list-sessions", "-F", "#{session_name}").split("\n")
        house.cli("tmux", "kill", name)
    finally:
        house.cli("config", "set", "tmux.socket", str(house.tmux.path))


@pytest.mark.parametrize("words", [("tmux", "create", "lost", "--no-agent"), ("tmux", "exec", "true")])
def test_a_file_in_the_place_of_a_socket_stays(house: House, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine\n")
    house.cli("config", "set", "tmux.socket", str(file))
    try:
        said = house.cli.at(house.cli.cwd, TMUX_EXEC_SOCKET=str(file)).refused(*words)
    finally:
        house.cli("config", "set", "tmux.socket", str(house.tmux.path))

    assert said.startswith(f"Error: {file} is there and is no socket: tmux would delete it\nHint: ")
    assert file.read_text() == "mine\n"
    assert str(file) not in str(house.cli.json("tmux", "status")), "no session was ever there"


@pytest.mark.parametrize(
    ("path", "why"), [("l" * 110, "is too long for a socket"), ("none/s", "none is no folder")]
)
def test_a_socket_that_cannot_be_is_told(house: House, path: str, why: str) -> None:
    house.cli("config", "set", "tmux.socket", f"/tmp/{path}")
    try:
        said = house.cli.refused("tmux", "create", "lost", "--no-agent")
    finally:
        house.cli("config", "set", "tmux.socket", str(house.tmux.path))

    assert why in said and "\nHint: thrum config set tmux.socket NAME" in said


def test_a_renamed_session_is_the_same_session(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)

    house.tmux("rename-session", "-t", f"={name}", f"{name}-new")
    house.tmux("move-window", "-s", f"={name}-new:1", "-t", f"={name}-new:7")

    until(lambda: house.identity(worktree)["tmux_session"] == f"{name}-new:7.1")
    house.cli("tmux", "send", f"{name}-new", "echo still")
    until(lambda: "still" in house.cli("tmux", "capture", f"{name}-new"))
    house.cli("tmux", "kill", f"{name}-new")


def test_sessions_survive_the_daemon(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)

    house.cli("daemon", "restart")

    until(lambda: name in house.heard())
    found = house.status(name)
    assert found is not None
    assert (found["state"], found["agent"]) == ("alive", name)
    assert house.identity(worktree)["tmux_session"] == f"{name}:1.1"


def test_a_session_that_a_person_ended_is_dead_and_can_be_launched_anew(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)

    house.tmux("kill-session", "-t", f"={name}")

    until(lambda: (house.status(name) or {}).get("state") == "dead")
    house.cli("tmux", "launch", name, "--runtime", "shell")
    found = house.status(name)
    assert found is not None
    assert (found["state"], found["agent"]) == ("alive", name)
    assert environment(house, name)["THRUM_HOME"] == str(worktree)


def test_a_bare_session_has_no_agent(house: House) -> None:
    name = house.fresh("bare")

    house.cli("tmux", "create", name, "--no-agent", "--cwd", str(house.repo.path))

    found = house.status(name)
    assert found is not None
    assert (found["state"], found.get("agent", "")) == ("alive", "")
    assert not any(key.startswith("THRUM_") for key in environment(house, name))
