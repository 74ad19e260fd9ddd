"""Whether a remote is public is asked as a stranger would, and message history does not go to a public one."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sync_clones import bare, clone_of, serving

from thrum_kernel.clock import SystemClock
from thrum_kernel.settings.core import Sync
from thrum_kernel.sync.exposure import HOLDS_S, Gate, address_of, judge
from thrum_kernel.testing.waiting import until_on_loop as until


class Host(http.server.ThreadingHTTPServer):
    """A git host that speaks the simple protocol; keeps the headers it was asked with.

    Attributes:
        status: what it answers: 200 with one reference, or a refusal.
    """

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/team/project.git"


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        body = f"{'1' * 40}\tHEAD\n".encode() if self.server.status == 200 else b""
        self.send_response(self.server.status)
        if self.server.status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class SteppedClock(SystemClock):
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def host() -> Iterator[Host]:
    server = Host()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Kept:
    """A gate with the settings that it reads and writes."""

    def __init__(self, env: dict[str, str], sync: Sync | None = None) -> None:
        self.sync = sync or Sync()
        self.clock = SteppedClock()
        self.gate = Gate(environ=env, clock=self.clock, settings=lambda: self.sync, keep=self.keep)

    def keep(self, found: str, name: str) -> None:
        self.sync = self.sync.model_copy(update={"detected_visibility": found, "detected_remote": name})


def test_a_public_remote_is_held_off_and_says_how_to_allow_it(
    host: Host, isolated_home: dict[str, str]
) -> None:
    kept = Kept(isolated_home)
    refusal = kept.gate.refusal(host.url)
    assert refusal.text.startswith("a-sync disabled: public repo detected, no exposure override")
    assert refusal.remedy == "thrum config set daemon.sync.public_exposure_override 127.0.0.1/team/project"
    assert refusal.remedy in refusal.text
    assert (kept.sync.detected_visibility, kept.sync.detected_remote) == ("public", "127.0.0.1/team/project")
    kept.sync = kept.sync.model_copy(update={"public_exposure_override": "127.0.0.1/team/other"})
    assert kept.gate.refusal(host.url).text
    kept.sync = kept.sync.model_copy(update={"public_exposure_override": "127.0.0.1/team/project"})
    assert kept.gate.refusal(host.url).text == ""


def test_agents_are_told_once_when_the_remote_is_public(
    host: Host, tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            one.repo.git("remote", "set-url", "origin", host.url)
            for _ in range(2):
                assert "public repo detected" in (await one.force())["reason"]
            (text,) = await until(lambda: one.texts("alice"))
            assert text.startswith("The git remote 127.0.0.1/team/project is public")

    asyncio.run(story())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_remote_that_refuses_strangers_is_private(
    host: Host, isolated_home: dict[str, str], status: int
) -> None:
    host.status = status
    kept = Kept(isolated_home)
    assert kept.gate.refusal(host.url).text == "" and kept.sync.detected_visibility == "private"


def test_the_stranger_brings_no_credentials(
    host: Host, isolated_home: dict[str, str], tmp_path: Path
) -> None:
    home = Path(isolated_home["HOME"])
    (home / ".git-credentials").write_text(f"http://me:hunter2@127.0.0.1:{host.server_port}\n")
    (home / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (home / ".gitconfig").write_text(
        '[credential]\n\thelper = store\n[http]\n\textraHeader = "Authorization: Basic aHVudGVyMg=="\n'
    )
    host.status = 401
    env = {**isolated_home, "GIT_ASKPASS": "/bin/echo", "SSH_AUTH_SOCK": "/nowhere"}
    assert Kept(env).gate.refusal(host.url.replace("http://", "http://me:hunter2@")).text == ""
    assert host.asked and not any("Authorization" in headers for headers in host.asked)


def test_what_was_found_holds_for_a_while_and_when_the_remote_is_away(
    host: Host, isolated_home: dict[str, str]
) -> None:
    kept = Kept(isolated_home)
    host.status = 404
    assert kept.gate.refusal(host.url).text == ""
    asked = len(host.asked)
    assert kept.gate.refusal(host.url).text == "" and len(host.asked) == asked
    host.status = 200  # made public
    kept.clock.now_s += HOLDS_S
    assert "public" in kept.gate.refusal(host.url).text
    host.status = 404
    assert "public" in kept.gate.refusal(host.url).text and kept.gate.refusal(host.url, anew=True).text == ""
    host.status = 500
    later = Kept(isolated_home, kept.sync)
    assert later.gate.refusal(host.url).text == ""
    later.sync = later.sync.model_copy(update={"detected_remote": "another/remote"})
    assert "undetectable" in later.gate.refusal(host.url).text


def test_a_remote_on_the_disk_is_private(isolated_home: dict[str, str]) -> None:
    kept = Kept(isolated_home)
    for url in ("/srv/project.git", "../project.git", "file:///srv/project.git", "~/project.git"):
        assert kept.gate.refusal(url).text == ""
    assert kept.sync.detected_visibility == ""


@pytest.mark.parametrize(
    ("url", "name", "anonymous"),
    [
        ("git@GitHub.com:team/project.git", "github.com/team/project", "https://github.com/team/project.git"),
        ("ssh://git@host:2222/team/project.git", "host/team/project", "https://host/team/project.git"),
        ("https://me:pw@Host/team/project", "host/team/project", "https://host/team/project"),
        ("https://host:8443/team/project.git/", "host/team/project", "https://host:8443/team/project.git/"),
        ("git://host:9000/project.git", "host/project", "git://host:9000/project.git"),
        ("host:project.git", "host/project", "https://host/project.git"),
    ],
)
def test_addresses(url: str, name: str, anonymous: str) -> None:
    assert address_of(url) == (name, anonymous)


def test_what_is_not_understood_is_undetectable() -> None:
    assert judge(128, "fatal: unable to access: Could not resolve host: x") == "undetectable"
    assert judge(128, "fatal: Authentication failed for x") == "private"
    assert judge(0, "") == "public"
