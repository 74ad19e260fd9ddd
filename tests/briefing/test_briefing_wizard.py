"""The questions of ``init``: their order, their defaults, and Ctrl-C at each of them, on a real terminal."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from briefing_project import Kept
from briefing_terminal import OnTerminal

from thrum_kernel.api import InitStep, Question
from thrum_kernel.briefing.wizard import Wizard
from thrum_kernel.cli.commands.init_steps import install_tmux
from thrum_kernel.errors import UsageError
from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner

PROMPTS = (
    "Agent name [coord_project]: ",
    "Role [coordinator]: ",
    "Module [project]: ",
    "Where should agent worktrees live? [",
    "Choose [1]: ",
)

STEP = """
import os, signal

def stop(plan):
    plan.write(plan.worktree / "acme.txt", b"written by acme")
    if plan.options.get("acme-say"):
        plan.say("acme says " + plan.options["acme-say"])
        plan.report("acme", plan.options["acme-say"])
    if not plan.dry_run and os.environ.get("ACME_INTERRUPT"):
        os.kill(os.getpid(), signal.SIGINT)

def ask(plan):
    choices = (("enhanced", "enhanced roles"), ("default", "default roles"), ("skip", "none"))
    return (Question(key="roles", prompt="Role templates", choices=choices),)

@hookimpl
def thrum_init_steps(ctx):
    order = int(os.environ.get("ACME_ORDER", "400"))
    options = (InitOption(name="acme-say", help="What acme says.", metavar="TEXT"),
               InitOption(name="roles", help="Which roles."))
    return [InitStep(name="acme", order=order, run=stop, options=options, questions=ask)]
"""


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner, kernel_alone: dict[str, str]
) -> Kept:
    """A repository as new, initialised, and both with files that git reads and init adds lines to."""
    kept = Kept.make(tmp_path_factory.mktemp("wizard"), kernel_alone)
    repo = kept.repo
    init = Cli(thrum_spawner, repo.path, repo.env)
    init("init", "--no-daemon")
    kept.keep("initialised")
    kept.restore("fresh")
    (repo.path / ".gitignore").write_bytes(b"*.pyc\r\nno newline at the end")
    (repo.path / ".git" / "info" / "exclude").write_bytes(b"# mine\r\n*.swp")
    kept.keep("untidy")
    init("init", "--no-daemon")
    kept.keep("untidy, initialised")
    return kept


@pytest.fixture
def repo(kept: Kept) -> Repo:
    """A repository that is not initialised."""
    kept.restore("fresh")
    return kept.repo


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed plugin that adds a step, and nothing else."""
    folder = tmp_path / "site"
    Site(folder).install("acme", hooks=STEP)
    return folder


@pytest.fixture
def env(repo: Repo, site: Path) -> dict[str, str]:
    return {**repo.env, "PYTHONPATH": str(site), "THRUM_PLUGINS_DISABLE": "runtimes,guards,roles"}


@pytest.fixture
def typed(cli: Cli, env: dict[str, str], repo: Repo) -> Callable[..., OnTerminal]:
    """``typed("init")``: a command on a terminal in the repository."""

    def start(*words: str, **more: str) -> OnTerminal:
        return OnTerminal(*words, cwd=repo.path, env={**env, **more})

    return start


def tree_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.lstat().st_mode),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
        if not path.is_socket()
    }


def config_of(repo: Repo) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repo.path / ".thrum" / "config.json").read_bytes())
    return found


# --- asking ----------------------------------------------------------------------------------------------------------


class Scripted:
    """A terminal whose lines are typed beforehand."""

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)
        self.asked: list[str] = []
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    def ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        if not self._lines:
            raise EOFError
        return self._lines.pop(0)


class Options:
    """As much of an `InitPlan` as the wizard looks at."""

    def __init__(self, **options: Any) -> None:
        self.options = options


def step(*questions: Question) -> InitStep:
    return InitStep(name="x", order=1, run=lambda plan: None, questions=lambda plan: questions)


def test_a_wrong_answer_is_told_and_asked_for_again() -> None:
    def check(text: str) -> str:
        if text != "good":
            raise UsageError("not good", hint="type good")
        return text.upper()

    terminal = Scripted("bad", "good")
    answers = Wizard(terminal).ask([step(Question(key="a", prompt="A", check=check))], Options())  # type: ignore[arg-type]
    assert answers == {"a": "GOOD"}
    assert terminal.told == ["  not good (type good)\n"]
    assert terminal.asked == ["A: ", "A: "]


@pytest.mark.parametrize(("typed_line", "chosen"), [("", "two"), ("1", "one"), ("two", "two")])
def test_a_choice_is_taken_by_number_by_name_or_by_enter(typed_line: str, chosen: str) -> None:
    question = Question(
        key="c", prompt="Which?", default="two", choices=(("one", "the first"), ("two", "the second"))
    )
    terminal = Scripted(typed_line)
    assert Wizard(terminal).ask([step(question)], Options()) == {"c": chosen}  # type: ignore[arg-type]
    assert terminal.asked == ["Which?\n  1) the first\n  2) the second\nChoose [2]: "]


@pytest.mark.parametrize("line", ["0", "3", "third"])
def test_what_is_no_choice_is_refused(line: str) -> None:
    question = Question(key="c", prompt="Which?", choices=(("one", "1st"), ("two", "2nd")))
    terminal = Scripted(line, "2")
    assert Wizard(terminal).ask([step(question)], Options()) == {"c": "two"}  # type: ignore[arg-type]
    assert terminal.told == ["  choose a number from 1 to 2\n"]


def test_an_option_that_is_given_is_not_asked_for_and_the_end_of_input_is_an_interrupt() -> None:
    questions = (Question(key="a", prompt="A"), Question(key="b", prompt="B"))
    terminal = Scripted()
    with pytest.raises(KeyboardInterrupt):
        Wizard(terminal).ask([step(*questions)], Options(a="given"))  # type: ignore[arg-type]
    assert terminal.asked == ["B: "]


@pytest.mark.parametrize(
    ("release", "platform", "command"),
    [
        ("ID=ubuntu\n", "linux", "sudo apt install tmux"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "linux", "sudo dnf install tmux"),
        ("ID=arch\n", "linux", "sudo pacman -S tmux"),
        ("ID=unheard\n", "linux", "with your system's package manager"),
        ("", "darwin", "brew install tmux"),
    ],
)
def test_the_way_to_tmux_is_told_for_the_system(
    tmp_path: Path, release: str, platform: str, command: str
) -> None:
    (tmp_path / "os-release").write_text(release)
    assert install_tmux(tmp_path / "os-release", platform=platform) == command


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_enter_all_the_way_sets_up_starts_and_registers(typed: Any, cli: Cli, repo: Repo) -> None:
    with typed("init") as terminal:
        for prompt in PROMPTS:
            terminal.until(prompt)
            terminal.type("\r")
        assert terminal.end() == 0, terminal.shown
    assert "Agent registered: coord_project" in terminal.shown
    assert terminal.shown.rstrip().endswith("Thrum initialized")
    base = Path(repo.env["HOME"]) / ".thrum" / "worktrees" / "project"
    assert config_of(repo)["worktrees"]["base_path"] == str(base)
    assert base.is_dir()
    me = cli.json("whoami")
    assert (me["agent_id"], me["role"], me["module"]) == ("coord_project", "coordinator", "project")
    assert me["session_id"]


def test_answers_count_and_flags_remove_their_questions(typed: Any, repo: Repo, tmp_path: Path) -> None:
    with typed("init", "--no-daemon", "--role", "tester", "--roles", "skip", "--acme-say", "hi") as terminal:
        terminal.until("Agent name [coord_project]: ")
        terminal.type("Not A Name\r")
        terminal.until("only lower-case letters")
        terminal.until("Agent name [coord_project]: ")
        terminal.type("tester\r")  # the role, too: told at once
        terminal.until("is the same as its role")
    assert not (repo.path / ".thrum").exists()
    with typed("init", "--no-daemon", "--role", "tester", "--roles", "skip", "--acme-say", "hi") as terminal:
        terminal.until("Agent name")
        terminal.type("@alice\r")
        terminal.until("Module [project]: ")
        terminal.type("auth\r")
        terminal.until("Where should agent worktrees live?")
        terminal.type("relative\r")
        terminal.until("is not an absolute path")
        terminal.type(f"{tmp_path}/trees\r")
        assert terminal.end() == 0, terminal.shown
    assert "Role [" not in terminal.shown and "Choose" not in terminal.shown
    assert "skipping daemon start" in terminal.shown
    assert "acme says hi" in terminal.shown
    assert config_of(repo)["worktrees"]["base_path"] == f"{tmp_path}/trees"
    identity = json.loads((repo.path / ".thrum" / "identities" / "alice.json").read_bytes())
    assert identity["agent"] == {"kind": "agent", "name": "alice", "role": "tester", "module": "auth"} | {
        key: value for key, value in identity["agent"].items() if key == "display"
    }


@pytest.mark.parametrize("is_old", [False, True], ids=["fresh", "force"])
@pytest.mark.parametrize(("at", "key"), [*((at, "\x03") for at in range(len(PROMPTS))), (0, "\x04")])
def test_an_interrupt_at_a_prompt_changes_nothing(
    typed: Any, kept: Kept, repo: Repo, at: int, key: str, is_old: bool
) -> None:
    kept.restore("untidy, initialised" if is_old else "untidy")
    if is_old:
        (repo.path / ".thrum" / "llms.txt").write_bytes(b"old text")
    home = Path(repo.env["HOME"])
    before, at_home = tree_of(repo.path), tree_of(home)
    with typed("init", *(["--force"] if is_old else [])) as terminal:
        for prompt in PROMPTS[:at]:
            terminal.until(prompt)
            terminal.type("\r")
        terminal.until(PROMPTS[at])
        terminal.type(key)
        assert terminal.end() == 130
    assert "nothing was changed" in terminal.shown
    assert (tree_of(repo.path), tree_of(home)) == (before, at_home)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["kill", "closed"])
def test_an_end_from_outside_at_a_prompt_changes_nothing(
    typed: Any, repo: Repo, number: signal.Signals
) -> None:
    before = tree_of(repo.path)
    with typed("init") as terminal:
        terminal.until(PROMPTS[0])
        terminal.signal(number)
        assert terminal.end() != 0
    assert tree_of(repo.path) == before


def test_where_every_answer_is_given_nothing_is_asked(typed: Any, repo: Repo, tmp_path: Path) -> None:
    given = ("--name", "alice", "--role", "tester", "--module", "auth", "--roles", "skip")
    with typed("init", *given, "--worktrees-root", f"{tmp_path}/trees", "--no-daemon") as terminal:
        assert terminal.end() == 0, terminal.shown
    assert not any(prompt.partition(" [")[0] in terminal.shown for prompt in PROMPTS)
    identity = json.loads((repo.path / ".thrum" / "identities" / "alice.json").read_bytes())
    assert (identity["agent"]["role"], identity["agent"]["module"]) == ("tester", "auth")
    assert config_of(repo)["worktrees"]["base_path"] == f"{tmp_path}/trees"


@pytest.mark.parametrize("prompt", range(len(PROMPTS)))
def test_each_prompt_goes_away_with_its_flag_alone(
    typed: Any, repo: Repo, tmp_path: Path, prompt: int
) -> None:
    flags = (
        ("--name", "alice"),
        ("--role", "tester"),
        ("--module", "auth"),
        ("--worktrees-root", f"{tmp_path}/trees"),
        ("--roles", "skip"),
    )
    rest = [text.partition(" [")[0] for number, text in enumerate(PROMPTS) if number != prompt]
    with typed("init", "--no-daemon", *flags[prompt]) as terminal:
        for text in rest:
            terminal.until(text)
            terminal.type("\r")
        assert terminal.end() == 0, terminal.shown
    assert f"{PROMPTS[prompt].partition(' [')[0]} [" not in terminal.shown


@pytest.mark.parametrize("words", [("--non-interactive",), ("--dry-run",), ("--json",)])
def test_a_terminal_is_not_asked_where_nobody_wants_to_be(
    typed: Any, repo: Repo, words: tuple[str, ...]
) -> None:
    with typed("init", "--no-daemon", *words) as terminal:
        assert terminal.end() == 0, terminal.shown
    assert "Agent name" not in terminal.shown


def test_what_is_there_is_refused_before_anything_is_asked(typed: Any, kept: Kept) -> None:
    kept.restore("initialised")
    with typed("init") as terminal:
        assert terminal.end() == 1
    assert "already initialized" in terminal.shown and "thrum init --force" in terminal.shown
    assert "Agent name" not in terminal.shown


def test_no_place_of_worktrees_lies_within_the_repository_and_the_home_may_be_short(
    typed: Any, repo: Repo
) -> None:
    with typed(
        "init", "--no-daemon", "--name", "a1", "--role", "r", "--module", "m", "--roles", "skip"
    ) as terminal:
        terminal.until(PROMPTS[3])
        terminal.type(f"{repo.path}/trees\r")
        terminal.until("is inside the repository")
        terminal.until(PROMPTS[3])
        terminal.type("~/trees\r")
        assert terminal.end() == 0, terminal.shown
    root = Path(repo.env["HOME"]) / "trees"
    assert (root.is_dir(), config_of(repo)["worktrees"]["base_path"]) == (True, str(root))


def test_again_with_force_starts_from_what_is_there(typed: Any, cli: Cli, repo: Repo, tmp_path: Path) -> None:
    cli("init", "--no-daemon", "--name", "bob", "--agent-role", "tester", "--agent-module", "auth")
    cli("config", "set", "worktrees.base_path", f"{tmp_path}/mine")
    (repo.path / ".thrum" / "context" / "bob.md").write_text("mine")
    kept = tree_of(repo.path)
    prompts = ("Agent name [bob]: ", "Role [tester]: ", "Module [auth]: ", f"live? [{tmp_path}/mine]: ")
    with typed("init", "--force", "--no-daemon", "--roles", "skip") as terminal:
        for prompt in prompts[:3]:
            terminal.until(prompt)
            terminal.type("\r")
        terminal.until(prompts[3])
        terminal.type("\x03")
        assert terminal.end() == 130
    assert tree_of(repo.path) == kept
    with typed("init", "--force", "--no-daemon", "--roles", "skip") as terminal:
        for prompt in prompts:
            terminal.until(prompt)
            terminal.type("\r")
        assert terminal.end() == 0, terminal.shown
    assert (repo.path / ".thrum" / "context" / "bob.md").read_text() == "mine"
    assert config_of(repo)["worktrees"]["base_path"] == f"{tmp_path}/mine"


@pytest.mark.parametrize("interrupted_at", [0, 1, 2, None])
def test_a_worktree_that_joins_is_asked_for_its_agent_only(
    kept: Kept, repo: Repo, env: dict[str, str], interrupted_at: int | None
) -> None:
    kept.restore("initialised")
    there = repo.worktree("feature")
    prompts = ("Agent name [impl_feature]: ", "Role [implementer]: ", "Module [feature]: ")
    before = tree_of(repo.path), tree_of(there.path)
    with OnTerminal("init", "--no-daemon", cwd=there.path, env=env) as terminal:
        for prompt in prompts[:interrupted_at]:
            terminal.until(prompt)
            terminal.type("\r")
        if interrupted_at is not None:
            terminal.until(prompts[interrupted_at])
            terminal.type("\x03")
        assert terminal.end() == (0 if interrupted_at is None else 130), terminal.shown
    if interrupted_at is None:
        assert (there.path / ".thrum" / "redirect").read_text() == f"{repo.path}/.thrum\n"
        assert (there.path / ".thrum" / "identities" / "impl_feature.json").exists()
    else:
        assert (tree_of(repo.path), tree_of(there.path)) == before


# --- interrupts at steps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_old", [False, True], ids=["fresh", "force"])
@pytest.mark.parametrize("order", [50, 150, 250, 350, 850, 950])
def test_an_interrupt_after_each_step_restores_byte_for_byte(
    cli: Cli, kept: Kept, repo: Repo, env: dict[str, str], order: int, is_old: bool
) -> None:
    kept.restore("untidy, initialised" if is_old else "untidy")
    if is_old:
        (repo.path / ".thrum" / "llms.txt").write_bytes(b"old text")
        (repo.path / ".thrum" / "identities" / "carol.json").write_text("{}")
    before = tree_of(repo.path)
    processes = {process.pid for process in psutil.process_iter()}
    command = cli.in_process()
    interrupted = Cli(
        cli.spawner,
        cli.cwd,
        {**env, "PYTHONPATH": f"{env['PYTHONPATH']}:{Path(__file__).parents[2]}"}
        | {"ACME_ORDER": str(order), "ACME_INTERRUPT": "1"},
        command.program,
    ).run("init", "--force", "--name", "alice", "--worktrees-root", "~/trees")
    assert interrupted.status == 130, interrupted
    assert "nothing was changed" in interrupted.err
    after = tree_of(repo.path)
    machine = {path for path in {**before, **after} if is_old and _is_machines_own(path)}
    assert {path: after.get(path) for path in after if path not in machine} == {
        path: before.get(path) for path in before if path not in machine
    }
    assert not (Path(repo.env["HOME"]) / "trees").exists()
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.pid not in processes and str(repo.path) in (process.info["cmdline"] or ())
    ]
    assert left == []


def _is_machines_own(path: str) -> bool:
    """What a daemon that ran for a moment leaves in a project that was there before: its log and its databases."""
    return path.startswith((".git/thrum-sync", ".thrum/var"))


def test_ctrl_c_while_the_daemon_comes_up_leaves_neither_files_nor_processes(
    typed: Any, repo: Repo, tmp_path: Path
) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(
        "import sys, time\nif 'run' in sys.orig_argv and 'daemon' in sys.orig_argv: time.sleep(120)\n"
    )
    before = tree_of(repo.path)
    log = repo.path / ".thrum" / "var" / "daemon.log"
    with typed("init", "--name", "alice", PYTHONPATH=str(slow)) as terminal:
        terminal.until("Role [coordinator]")
        terminal.type("\r")
        terminal.until("Module")
        terminal.type("\r")
        terminal.until("worktrees live?")
        terminal.type("\r")
        while not log.exists():
            time.sleep(0.01)
        terminal.type("\x03")
        assert terminal.end() == 130, terminal.shown
    assert tree_of(repo.path) == before
    ours = [p for p in psutil.process_iter(["cmdline"]) if str(repo.path) in (p.info["cmdline"] or ())]
    assert ours == []


# --- steps of plugins ------------------------------------------------------------------------------------------------


def test_a_step_of_a_plugin_is_listed_reported_and_found_in_help(
    cli: Cli, repo: Repo, env: dict[str, str]
) -> None:
    command = Cli(cli.spawner, cli.cwd, {**env, "PYTHONPATH": f"{env['PYTHONPATH']}:{Path.cwd()}"})
    command.program = cli.in_process().program
    assert "--acme-say TEXT" in command("init", "--help")
    shown = command.json("init", "--dry-run", "--acme-say", "hi")
    assert {"path": str(repo.path / "acme.txt"), "action": "create"} in shown["files"]
    assert shown["acme"] == "hi"
    assert not (repo.path / "acme.txt").exists()
    assert f"would create {repo.path}/acme.txt" in command("init", "--dry-run")
    done = command.json("init", "--no-daemon", "--acme-say", "hi")
    assert (done["acme"], (repo.path / "acme.txt").read_text()) == ("hi", "written by acme")
    again = command.run("init", "--no-daemon")
    assert (again.status, "already initialized" in again.err) == (1, True)
    assert "acme says ho" in command("init", "--acme-say", "ho")  # what is asked for is done, nothing else


def test_a_pipe_is_never_asked(cli: Cli, repo: Repo) -> None:
    ran = cli.run("init", "--no-daemon", stdin=b"")
    assert (ran.status, "Agent name" in ran.out) == (0, False)


@pytest.fixture
def without_tmux(site: Path, tmp_path: Path) -> str:
    """A PATH without tmux, where a plugin called tmux is installed."""
    Site(site).install("tmux")
    without = tmp_path / "bin"
    without.mkdir()
    git = shutil.which("git")
    assert git is not None
    (without / "git").symlink_to(git)
    return str(without)


@pytest.mark.parametrize("is_old", [False, True], ids=["fresh", "force"])
def test_tmux_is_wanted_where_the_tmux_plugin_is_and_the_way_to_it_is_told(
    typed: Any, kept: Kept, without_tmux: str, repo: Repo, is_old: bool
) -> None:
    kept.restore("initialised" if is_old else "fresh")
    before = tree_of(repo.path)
    with typed("init", *(["--force"] if is_old else []), PATH=without_tmux) as terminal:
        for prompt in PROMPTS:
            terminal.until(prompt)
            terminal.type("\r")
        assert terminal.end() == 1
    assert "Error: tmux is not installed" in terminal.shown
    assert f"Hint: install it, then retry: {install_tmux()}" in terminal.shown
    assert tree_of(repo.path) == before


def test_without_a_daemon_nobody_asks_for_tmux(typed: Any, without_tmux: str) -> None:
    with typed("init", "--no-daemon", PATH=without_tmux) as terminal:
        for prompt in PROMPTS:
            terminal.until(prompt)
            terminal.type("\r")
        assert terminal.end() == 0, terminal.shown
