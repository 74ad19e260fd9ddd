"""Sockets below folders whose path is longer than a socket address."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from bus_house import open_files

from thrum_kernel.bus import address


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / ("a" * 120) / ("b" * 120) / "with a space"
    folder.mkdir(parents=True)
    return folder / "thrum.sock"


def talk(path: Path) -> bytes:
    with address.listen(path) as server:
        server.setblocking(True)
        with address.connect(path, timeout_s=5) as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.send(b"hello")
                return client.recv(10)


def test_a_long_path_works_and_leaves_nothing_behind(deep: Path) -> None:
    before = Path.cwd(), open_files()
    assert talk(deep) == b"hello"
    assert (Path.cwd(), open_files()) == before
    assert [entry.name for entry in deep.parent.iterdir()] == ["thrum.sock"]


def test_a_long_path_works_without_proc(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with address.short(deep, through="/nowhere") as name:
        assert len(name) <= address.MAX_ADDRESS
        link = Path(name).parent
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
    assert deep.is_socket()
    assert not link.exists()
    assert not link.is_symlink()


def test_a_short_path_is_used_as_it_is(tmp_path: Path) -> None:
    with address.short(Path("/tmp/x.sock")) as name:
        assert name == "/tmp/x.sock"


def test_the_relative_name_reaches_it_from_its_folder(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with address.listen(deep), socket.socket(socket.AF_UNIX) as client:
        monkeypatch.chdir(deep.parent)
        client.connect("thrum.sock")


def test_connecting_where_nobody_is_fails_as_the_system_says(deep: Path) -> None:
    with pytest.raises(FileNotFoundError):
        address.connect(deep, timeout_s=1)
    address.listen(deep).close()
    with pytest.raises(ConnectionRefusedError):
        address.connect(deep, timeout_s=1)
