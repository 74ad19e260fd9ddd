"""What doctor says of worktrees."""

from __future__ import annotations

import shutil
from pathlib import Path

from thrum_worktrees import checks, wiring
from worktrees_ground import Site

from thrum_kernel.api import Finding
from thrum_kernel.testing.harness import Repo


def wired(site: Site, name: str) -> Repo:
    tree = site.worktree(name)
    record = site.record(tree.path)
    (site.repo.path / ".thrum").mkdir(exist_ok=True)
    wiring.wire_thrum(site.ground.git, tree.path, record.folder, site.ground.thrum)
    return tree


def found(site: Site, base: str = "") -> list[Finding]:
    return checks.findings(site.ground, base)


def test_nothing_is_wrong(site: Site) -> None:
    assert [each.text for each in found(site)] == ["none"]
    wired(site, "a")
    assert [(each.level, each.text) for each in found(site)] == [("ok", "1, each with its folder")]


def test_each_thing_that_is_wrong_has_its_remedy(site: Site, tmp_path: Path) -> None:
    for name in ("gone", "half", "lost", "beads"):
        wired(site, name)
    shutil.rmtree(site.base / "gone")
    (site.base / "half").rename(site.base / ".half.going")
    (site.base / "lost" / ".git").unlink()
    (site.base / "beads" / ".beads").mkdir()
    (site.base / "beads" / ".beads" / "redirect").write_text(f"{tmp_path}/nowhere\n")
    adding = site.repo.path / ".git" / "worktrees" / "new"
    adding.mkdir()
    (adding / "gitdir").write_text(f"{site.base}/new/.git\n")
    (adding / "locked").write_text("initializing")

    told = {each.remedy: (each.level, each.text) for each in found(site, base="trees")}

    base = site.base
    assert told == {
        "thrum config set worktrees.base_path PATH": (
            "error",
            'worktrees.base_path "trees" is not an absolute path',
        ),
        "git worktree prune": ("warning", f"{base}/gone is gone, and git still knows it"),
        "thrum worktree teardown half": ("warning", f"{base}/half is half removed"),
        f"git worktree repair {base}/lost": ("error", f"{base}/lost and git have lost each other"),
        f"rm {base}/beads/.beads/redirect && thrum setup {base}/beads": (
            "warning",
            f"{base}/beads/.beads/redirect leads to {tmp_path}/nowhere, which is not there",
        ),
        "thrum worktree create new": ("warning", f"{base}/new is half made"),
    }
