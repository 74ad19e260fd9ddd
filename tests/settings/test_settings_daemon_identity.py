"""Which daemon this is: made, kept, moved, copied, and seen from another machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel import paths
from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import FileDamaged
from thrum_kernel.ids import HybridClock
from thrum_kernel.settings.daemon_identity import Host, Known, load, load_or_create, this_host
from thrum_kernel.settings.document import SettingsFile

CLOCK = SystemClock()
HOST = Host("desk", "machine-1")
Start = Callable[..., Known]


def start(root: Path, *, host: Host = HOST, on_elsewhere: str = "ask") -> Known:
    found = paths.find(root, env={})
    return load_or_create(
        found,
        SettingsFile(found.config),
        clock=CLOCK,
        host=host,
        origin_url="git@example.org:team/project.git",
        new_id=HybridClock(CLOCK).next_ulid,
        on_elsewhere=on_elsewhere,  # type: ignore[arg-type]
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    (root / ".thrum").mkdir(parents=True)
    (root / ".thrum" / "config.json").write_text('{"daemon": {"local_only": true}}')
    return root


def config(root: Path) -> dict[str, dict[str, Any]]:
    value: dict[str, dict[str, Any]] = json.loads((root / ".thrum" / "config.json").read_text())
    return value


def test_the_first_start_makes_one_and_shows_it(project: Path) -> None:
    known = start(project)

    assert known.told == "created"
    assert known.identity.daemon_id.startswith("d_")
    assert known.identity == load(paths.find(project, env={}))
    assert config(project)["identity"] == known.identity.block
    assert config(project)["identity"]["repo_name"] == "project"
    assert config(project)["daemon"] == {"local_only": True}


def test_the_next_start_keeps_it_and_writes_nothing(project: Path) -> None:
    first = start(project)
    files = [project / ".thrum" / "config.json", paths.find(project, env={}).daemon_file]
    inodes = [file.stat().st_ino for file in files]

    second = start(project)

    assert (second.told, second.identity, second.previous) == ("same", first.identity, None)
    assert [file.stat().st_ino for file in files] == inodes


def test_a_new_host_name_of_the_same_machine_is_taken_over(project: Path) -> None:
    first = start(project)

    second = start(project, host=Host("lap", "machine-1"))

    assert (second.told, second.identity.daemon_id) == ("same", first.identity.daemon_id)
    assert second.previous == first.identity
    assert config(project)["identity"]["hostname"] == "lap"


def test_it_survives_the_loss_of_thrum(project: Path) -> None:
    first = start(project)
    sync = project / ".thrum" / "thrum-sync"
    kept = project / "kept"
    sync.rename(kept)
    shutil.rmtree(project / ".thrum")
    (project / ".thrum").mkdir()
    kept.rename(sync)

    assert start(project).identity.daemon_id == first.identity.daemon_id
    assert config(project)["identity"]["daemon_id"] == first.identity.daemon_id


def test_a_move_keeps_the_id_and_the_name(project: Path) -> None:
    first = start(project)
    moved = project.with_name("elsewhere")
    project.rename(moved)

    known = start(moved)

    assert (known.told, known.identity.daemon_id) == ("moved", first.identity.daemon_id)
    assert (known.identity.repo_name, known.identity.repo_path) == ("project", str(moved))
    assert known.previous == first.identity
    assert start(moved).told == "same"


def test_a_copy_takes_a_new_id_and_the_original_keeps_its(project: Path) -> None:
    first = start(project)
    copy = project.with_name("copy")
    shutil.copytree(project, copy)

    known = start(copy)

    assert known.told == "copied"
    assert known.identity.daemon_id != first.identity.daemon_id
    assert known.previous == first.identity
    assert config(copy)["identity"]["daemon_id"] == known.identity.daemon_id
    assert start(project).identity == first.identity
    assert start(copy).told == "same"


def test_a_project_reached_by_another_path_is_no_copy(project: Path, tmp_path: Path) -> None:
    first = start(project)
    record = paths.find(project, env={}).daemon_file
    raw = json.loads(record.read_text())
    (tmp_path / "link").symlink_to(project)
    record.write_text(json.dumps({**raw, "sync_path": str(tmp_path / "link/.thrum/thrum-sync")}))

    known = start(project)

    assert (known.told, known.identity.daemon_id) == ("moved", first.identity.daemon_id)


def test_another_machine_asks_before_anything_is_changed(project: Path) -> None:
    first = start(project)
    other = Host("desk", "machine-2")
    before = (project / ".thrum" / "config.json").read_bytes()

    asked = start(project, host=other)

    assert (asked.told, asked.identity) == ("elsewhere", first.identity)
    assert (project / ".thrum" / "config.json").read_bytes() == before
    adopted = start(project, host=other, on_elsewhere="adopt")
    assert (adopted.told, adopted.identity.daemon_id) == ("adopted", first.identity.daemon_id)
    assert start(project, host=other).told == "same"
    renewed = start(project, on_elsewhere="renew")
    assert renewed.told == "renewed"
    assert renewed.identity.daemon_id != first.identity.daemon_id


def test_a_container_with_a_new_name_is_the_same_while_the_folder_is(project: Path) -> None:
    first = start(project, host=Host("container-1"))

    assert start(project, host=Host("container-2")).identity.daemon_id == first.identity.daemon_id

    elsewhere = project.with_name("restored")
    shutil.copytree(project, elsewhere)
    shutil.rmtree(project)
    assert start(elsewhere, host=Host("container-3")).told == "elsewhere"


def test_the_id_of_an_older_installation_is_taken_over(project: Path) -> None:
    known = "d_01JZZZZZZZZZZZZZZZZZZZZZZZ"
    block = {"daemon_id": known, "repo_name": "old", "repo_path": str(project), "hostname": "desk"}
    (project / ".thrum" / "config.json").write_text(json.dumps({"identity": block}))

    assert start(project).identity.daemon_id == known

    other = project.with_name("other")
    (other / ".thrum").mkdir(parents=True)
    shutil.copy(project / ".thrum" / "config.json", other / ".thrum" / "config.json")
    assert start(other).identity.daemon_id != known


def test_the_first_form_of_ids_is_not_taken_over(project: Path) -> None:
    (project / ".thrum" / "config.json").write_text('{"identity": {"daemon_id": "d_abcdefghjkmn"}}')

    assert start(project).told == "created"


def test_damaged_files_are_told_and_left_alone(project: Path) -> None:
    start(project)
    record = paths.find(project, env={}).daemon_file
    record.write_text('{"daemon_id": "mine"}')
    with pytest.raises(FileDamaged, match="holds no daemon id"):
        start(project)
    assert record.read_text() == '{"daemon_id": "mine"}'

    record.unlink()
    (project / ".thrum" / "config.json").write_text("{")
    with pytest.raises(FileDamaged, match="config"):
        start(project)
    assert not record.exists()


def test_thrum_hostname_names_this_machine() -> None:
    assert this_host({"THRUM_HOSTNAME": " desk "}).hostname == "desk"
    assert not this_host({}).hostname.endswith(".local")
