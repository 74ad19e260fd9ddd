"""Remotes of the kind that people have: http hosts that refuse or limit, and one that forbids rewriting history."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sync_clones import bare
from sync_sides import Side, remote_files

from thrum_kernel.sync.remote import RemoteFailed
from thrum_kernel.testing.harness import Repo

ONE = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"
TWO = "d_01JABCDEFGHJKMNPQRSTVWXYZ2"


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    return bare(tmp_path / "host", isolated_home)


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """The address of an http host that answers everything with *status*, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="host"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/team/project.git", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "auth"), (403, "auth"), (429, "limited"), (500, "offline"), (503, "offline")]
)
def test_an_http_host_that_does_not_serve_is_told_in_its_kind(origin: Repo, status: int, kind: str) -> None:
    async def main() -> None:
        path = origin.path.parent / "one"
        origin.git("clone", "-q", str(origin.path), str(path))
        repo = Repo(path, path, origin.env)
        one = Side(repo, ONE)
        await one.house.committer.send("waits")
        with answering(status) as (url, asked):
            repo.git("remote", "set-url", "origin", url)
            with pytest.raises(RemoteFailed) as failed:
                await Side(repo, ONE).sync()
            assert failed.value.kind == kind and (status == 401 or str(status) in str(failed.value))
            assert asked and len(asked) <= 2, "asked once, and nobody is asked for a password"
        repo.git("remote", "set-url", "origin", str(origin.path))
        assert (await Side(repo, ONE).sync()).is_pushed
        assert len(one.lines()) == 1

    asyncio.run(main())


def test_a_host_that_forbids_rewriting_history_takes_every_push(origin: Repo) -> None:
    origin.git("config", "receive.denyNonFastForwards", "true")
    origin.git("config", "receive.denyDeletes", "true")

    async def main() -> None:
        sides = []
        for name, daemon in (("one", ONE), ("two", TWO)):
            path = origin.path.parent / name
            origin.git("clone", "-q", str(origin.path), str(path))
            sides.append(Side(Repo(path, path, origin.env), daemon))
        one, two = sides
        for number in range(3):
            await one.house.committer.send(f"from one {number}")
            await two.house.committer.send(f"from two {number}", agent="bob")
            await asyncio.gather(one.sync(), two.sync())  # one of them is outrun, and begins again on top
        await one.sync()
        await two.sync()
        await one.sync()
        assert one.lines() == two.lines() and len(one.lines()) == 6
        assert remote_files(origin) - {"FORMAT"} == one.files()

    asyncio.run(main())


def test_what_the_host_says_about_a_refused_push_is_told_before_what_git_makes_of_it(origin: Repo) -> None:
    hook = origin.path / "hooks/pre-receive"
    hook.write_text(
        "#!/bin/sh\necho '=========' >&2\necho 'error: ask the build team before you push' >&2\nexit 1\n"
    )
    hook.chmod(0o755)

    async def main() -> None:
        path = origin.path.parent / "one"
        origin.git("clone", "-q", str(origin.path), str(path))
        one = Side(Repo(path, path, origin.env), ONE)
        await one.house.committer.send("waits")
        with pytest.raises(RemoteFailed, match="ask the build team before you push") as failed:
            await one.sync()
        assert failed.value.kind == "protected" and "=====" not in str(failed.value)
        hook.unlink()
        assert (await Side(Repo(path, path, origin.env), ONE).sync()).is_pushed

    asyncio.run(main())
