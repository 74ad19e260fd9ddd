"""What an exchange never does to the person: touch their repository, run their hooks, ask, hang, or leave a process."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest
from sync_clones import bare, fingerprint
from sync_sides import Side, remote_files

from thrum_kernel import gitdir
from thrum_kernel.errors import GitFailed
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.remote import Remote, RemoteFailed, choose
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop as until

ONE = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"
TWO = "d_01JABCDEFGHJKMNPQRSTVWXYZ2"


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    return bare(tmp_path / "host", isolated_home)


def cloned(origin: Repo, name: str, *flags: str) -> Repo:
    path = origin.path.parent / name
    origin.git("clone", "-q", *flags, str(origin.path), str(path))
    return Repo(path, path, origin.env)


def busy(repo: Repo) -> None:
    """Leave work of every kind in a clone, hooks of every kind, and settings that would get in our way."""
    repo.git("config", "user.name", "Person")
    repo.git("config", "user.email", "person@example.org")
    (repo.path / "README.md").write_text("stashed\n")
    repo.git("stash", "-q")
    (repo.path / "README.md").write_text("staged\n")
    repo.git("add", "README.md")
    (repo.path / "README.md").write_text("not staged\n")
    (repo.path / "new.txt").write_text("untracked\n")
    repo.git("branch", "other")
    repo.git("tag", "v1")
    hooks = repo.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "post-commit",
        "pre-push",
        "reference-transaction",
        "post-checkout",
        "pre-auto-gc",
    ):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {repo.path.parent}/ran-{name}\nexit 1\n")
        (hooks / name).chmod(0o755)
    for key, value in (
        ("commit.gpgSign", "true"),
        ("push.gpgSign", "true"),
        ("gpg.program", "/bin/false"),
        ("core.autocrlf", "true"),
        ("core.hooksPath", str(hooks)),
        ("push.followTags", "true"),
        ("submodule.recurse", "true"),
    ):
        repo.git("config", key, value)


def test_the_person_s_repository_stays_as_it_is(origin: Repo) -> None:
    async def main() -> None:
        repo = cloned(origin, "one")
        busy(repo)
        (repo.path / ".git/config").chmod(0o644)
        everywhere = Repo(
            repo.path, repo.path, {**repo.env, "GIT_CONFIG_GLOBAL": str(repo.path.parent / "gitconfig")}
        )
        for key, value in (
            ("commit.gpgSign", "true"),
            ("gpg.program", "/bin/false"),
            ("core.autocrlf", "true"),
        ):
            everywhere.git("config", "--global", key, value)
        env = {
            "GIT_CONFIG_GLOBAL": str(repo.path.parent / "gitconfig"),
            "GIT_DIR": str(repo.path / ".git"),
            "GIT_WORK_TREE": str(repo.path),
            "GIT_INDEX_FILE": str(repo.path / ".git/index"),
            "GIT_OBJECT_DIRECTORY": str(repo.path / ".git/objects"),
            "GIT_AUTHOR_NAME": "Somebody Else",
        }
        one, two = Side(repo, ONE, env=env), Side(cloned(origin, "two"), TWO)
        before = fingerprint(repo.path, without=(".git/thrum-sync",))
        await two.house.committer.send("from two", agent="bob")
        await two.sync()
        for number in range(2):
            await one.house.committer.send(f"from one {number}")
            assert (await one.sync()).is_pushed
        shutil.rmtree(one.published)
        await one.exchange.run()
        assert fingerprint(repo.path, without=(".git/thrum-sync",)) == before
        assert not list(repo.path.parent.glob("ran-*"))
        assert origin.git("branch", "--format=%(refname:short)").split() == ["a-sync", "main"]
        assert origin.git("tag") == ""
        assert set(origin.git("log", "--format=%an", "a-sync").split()) == {"Thrum"}

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["shallow", "partial", "single-branch", "relative", "rewritten", "worktree"])
def test_any_kind_of_clone_will_do(origin: Repo, kind: str) -> None:
    async def main() -> None:
        flags = {
            "shallow": ["--depth=1"],
            "partial": ["--filter=blob:none"],
            "single-branch": ["--single-branch"],
        }
        origin.git("config", "uploadpack.allowFilter", "true")
        path = origin.path.parent / "one"
        origin.git("clone", "-q", *flags.get(kind, []), f"file://{origin.path}", str(path))
        repo = Repo(path, path, origin.env)
        if kind == "relative":
            repo.git("remote", "set-url", "origin", "../origin.git")
        if kind == "rewritten":
            repo.git("remote", "set-url", "origin", "host:origin.git")
            repo.git("config", f"url.{origin.path.parent}/.insteadOf", "host:")
        one, two = Side(repo, ONE), Side(cloned(origin, "two"), TWO)
        await two.house.committer.send("from two", agent="bob")
        await two.sync()
        await one.house.committer.send("from one")
        await one.sync()
        await two.sync()
        assert one.lines() == two.lines() and len(one.lines()) == 2

    asyncio.run(main())


def test_a_copy_of_a_clone_works_on_its_own_files(origin: Repo) -> None:
    async def main() -> None:
        one = Side(cloned(origin, "one"), ONE)
        await one.house.committer.send("before")
        await one.sync()
        path = origin.path.parent / "copy"
        shutil.copytree(one.repo.path, path, symlinks=True)
        before = fingerprint(one.folder)
        copy = Side(Repo(path, path, origin.env), TWO)
        await copy.house.committer.send("from the copy", agent="bob")
        assert (await copy.sync()).is_pushed
        assert fingerprint(one.folder) == before
        shown = Repo(copy.published, copy.published, origin.env).git("rev-parse", "--absolute-git-dir")
        assert Path(shown) == (copy.folder / "repo.git").resolve()
        await one.sync()
        assert one.lines() == copy.lines() and len(one.lines()) == 2

    asyncio.run(main())


def test_a_repository_of_the_longer_hashes(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    async def main() -> None:
        host = Repo(tmp_path, tmp_path, isolated_home)
        host.git("init", "-q", "--bare", "--object-format=sha256", "origin.git")
        host.git("init", "-q", "--object-format=sha256", "one")
        repo = Repo(tmp_path / "one", tmp_path / "one", isolated_home)
        repo.git("remote", "add", "origin", "../origin.git")
        one = Side(repo, ONE)
        one.house.cutter._fan_in = 2
        for text in ("first", "second"):
            await one.house.committer.send(text)
            assert (await one.sync()).is_pushed
        origin = Repo(tmp_path / "origin.git", tmp_path / "origin.git", isolated_home)
        assert (
            len(origin.git("rev-parse", "a-sync")) == 64 and remote_files(origin) - {"FORMAT"} == one.files()
        )

    asyncio.run(main())


def test_an_offline_remote_is_told_and_nothing_is_lost(origin: Repo) -> None:
    async def main() -> None:
        one = Side(cloned(origin, "one"), ONE)
        away = origin.path.with_name("away.git")
        origin.path.rename(away)
        await one.house.committer.send("waits")
        with pytest.raises(RemoteFailed, match="cannot reach origin") as failed:
            await one.sync()
        assert failed.value.kind == "offline" and failed.value.hint
        assert len(one.lines()) == 1 and not (one.folder / "repo.git").exists()
        away.rename(origin.path)
        assert (await one.exchange.run()).is_pushed

    asyncio.run(main())


def test_a_protected_branch_is_told_as_such(origin: Repo) -> None:
    async def main() -> None:
        one = Side(cloned(origin, "one"), ONE)
        hook = origin.path / "hooks/pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho 'error: protected branch' >&2\nexit 1\n")
        hook.chmod(0o755)
        await one.house.committer.send("not taken")
        with pytest.raises(RemoteFailed, match="does not take the branch a-sync") as failed:
            await one.sync()
        assert failed.value.kind == "protected" and one.exchange.has_news
        hook.unlink()
        assert (await one.exchange.run()).is_pushed

    asyncio.run(main())


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("!\tx:refs/heads/a-sync\t[remote rejected] (unpacker error)\nDone", "refused", "unpacker error"),
        ("fatal: ref updates aborted by hook", "protected", "aborted by hook"),
        ("fatal: Authentication failed for 'https://h/p'", "auth", "let us in: Authentication failed"),
    ],
)
def test_a_remote_that_answered_is_not_told_to_be_out_of_reach(
    origin: Repo, said: str, kind: str, told: str
) -> None:
    failed = _remote(cloned(origin, "one"))._failed(said)
    assert failed.kind == kind and told in str(failed) and "cannot reach" not in str(failed)


SAYS = {
    "auth": "git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.",
    "limited": "remote: too many requests\nfatal: unable to access: The requested URL returned error: 429",
    "offline": "ssh: Could not resolve hostname host: Name or service not known",
}


@pytest.mark.parametrize("kind", SAYS)
def test_what_a_remote_says_is_told_in_its_kind(origin: Repo, kind: str) -> None:
    repo = cloned(origin, "one")
    ssh = repo.path.parent / "ssh"
    said = SAYS[kind].replace("\n", "\\n")
    ssh.write_text(f"#!/bin/sh\nprintf '{said}\\n' >&2\nexit 255\n")
    ssh.chmod(0o755)
    repo.git("remote", "set-url", "origin", "git@host:team/project.git")
    repo.git("config", "core.sshCommand", str(ssh))
    with pytest.raises(RemoteFailed) as failed:
        _remote(repo).look()
    assert failed.value.kind == kind


def test_nobody_is_asked_and_nothing_hangs_or_stays(origin: Repo) -> None:
    repo = cloned(origin, "one")
    ssh, pids = repo.path.parent / "ssh", repo.path.parent / "pids"
    asks = "(exec </dev/tty) 2>/dev/null && echo asked >> " + str(pids)
    ssh.write_text(f"#!/bin/sh\n{asks}\nsleep 60 &\necho $! >> {pids}\necho $$ >> {pids}\nwait\n")
    ssh.chmod(0o755)
    repo.git("remote", "set-url", "origin", "git@host:team/project.git")
    repo.git("config", "core.sshCommand", str(ssh))
    with pytest.raises(RemoteFailed, match="no answer within 1 s"):
        _remote(repo, look_s=1.0).look()
    started = pids.read_text().split()
    assert len(started) == 2 and "asked" not in started
    deadline = time.monotonic() + 10
    while any(_runs(int(pid)) for pid in started):
        assert time.monotonic() < deadline, "a process stayed"
        time.sleep(0.02)


def test_passwords_in_addresses_are_not_told(origin: Repo) -> None:
    repo = cloned(origin, "one")
    repo.git("remote", "set-url", "origin", "http://me:hunter2@127.0.0.1:1/project.git")
    with pytest.raises(RemoteFailed) as failed:
        _remote(repo).look()
    assert "hunter2" not in str(failed.value) and "127.0.0.1" in str(failed.value)
    assert "hunter2" not in repr(choose(gitdir.locate(repo.path)))


def test_a_daemon_that_stops_ends_what_git_does(origin: Repo) -> None:
    repo = cloned(origin, "one")
    runner = _runner(repo)

    async def main() -> None:
        waiting = asyncio.create_task(
            asyncio.to_thread(runner.run, "-c", "alias.wait=!sleep 60", "wait", cwd=repo.path)
        )
        await until(lambda: bool(runner._running))
        runner.abandon()
        with pytest.raises(GitFailed, match="stopping"):
            await waiting
        with pytest.raises(GitFailed, match="stopping"):
            runner.run("version", cwd=repo.path)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("remotes", "wanted", "name", "why_not"),
    [
        ((), "", "", "has no remote"),
        (("upstream",), "", "upstream", ""),
        (("upstream", "origin"), "", "origin", ""),
        (("a", "b"), "", "", "none is called origin (a, b)"),
        (("a", "b"), "b", "b", ""),
        (("a",), "b", "", "there is no remote b (a)"),
    ],
)
def test_which_remote(
    tmp_path: Path,
    isolated_home: dict[str, str],
    remotes: tuple[str, ...],
    wanted: str,
    name: str,
    why_not: str,
) -> None:
    repo = Repo(tmp_path, tmp_path, isolated_home)
    repo.git("init", "-q")
    for each in remotes:
        repo.git("remote", "add", each, f"/nowhere/{each}.git")
    choice = choose(gitdir.locate(repo.path), wanted)
    assert choice.name == name and why_not in choice.why_not and bool(choice.urls) == bool(name)


def test_where_a_push_goes_is_what_git_makes_of_the_address(origin: Repo) -> None:
    repo = cloned(origin, "one")
    repo.git("remote", "set-url", "origin", "gh:team/project.git")
    repo.git("config", "url.git@github.com:.insteadOf", "gh:")
    assert choose(gitdir.locate(repo.path)).urls == ("git@github.com:team/project.git",)
    repo.git("remote", "set-url", "--push", "origin", "host:elsewhere.git")
    assert choose(gitdir.locate(repo.path)).urls == ("host:elsewhere.git",)


def test_outside_git_there_is_no_remote() -> None:
    assert "not in a git repository" in choose(None).why_not


def _runner(repo: Repo) -> Runner:
    T = repo.path / ".git/thrum-sync"
    T.mkdir(exist_ok=True)
    return Runner(T / "repo.git", T / "a-sync", environ={**os.environ, **repo.env})


def _remote(repo: Repo, **limits: float) -> Remote:
    runner = _runner(repo)
    runner_dir = repo.path / ".git/thrum-sync/repo.git"
    repo.git("init", "-q", "--bare", str(runner_dir))
    return Remote(choose(gitdir.locate(repo.path)), runner=runner, cwd=repo.path, **limits)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
