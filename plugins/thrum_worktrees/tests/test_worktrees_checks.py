"""What doctor says of worktrees, and what it mends."""

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
    assert [each.text for each in found(site)] == ["0 linked worktrees"]
    wired(site, "a")
    assert [(each.level, each.text) for each in found(site)] == [("ok", "1 linked worktree")]


def test_each_thing_that_is_wrong_has_its_remedy(site: Site, tmp_path: Path) -> None:
    for name in ("gone", "half", "lost", "astray", "other", "beads"):
        wired(site, name)
    shutil.rmtree(site.base / "gone")
    (site.base / "half").rename(site.base / ".half.going")
    (site.base / "lost" / ".git").unlink()
    (site.base / "astray" / ".thrum" / "redirect").write_text(f"{tmp_path}/nowhere/.thrum\n")
    (tmp_path / "another" / ".thrum").mkdir(parents=True)
    (site.base / "other" / ".thrum" / "redirect").write_text(f"{tmp_path}/another/.thrum\n")
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
        "thrum doctor --fix": (
            "error",
            f"{base}/astray/.thrum/redirect leads to {tmp_path}/nowhere/.thrum, which is not there",
        ),
        f"rm {base}/other/.thrum/redirect && thrum setup {base}/other": (
            "warning",
            f"{base}/other/.thrum/redirect leads to {tmp_path}/another/.thrum, another project than the repository's",
        ),
        f"rm {base}/beads/.beads/redirect && thrum setup {base}/beads": (
            "warning",
            f"{base}/beads/.beads/redirect leads to {tmp_path}/nowhere, which is not there",
        ),
        "thrum worktree create new": ("warning", f"{base}/new is half made"),
    }


def test_a_redirect_that_leads_nowhere_is_mended(site: Site, tmp_path: Path) -> None:
    tree = wired(site, "a")
    redirect = tree.path / ".thrum" / "redirect"
    redirect.write_text(f"{tmp_path}/nowhere/.thrum\n")
    (wrong,) = found(site)

    assert checks.mend(site.ground, wrong) == f"{redirect} leads to {site.ground.thrum}"

    assert redirect.read_text() == f"{site.ground.thrum}\n"
    assert [each.level for each in found(site)] == ["ok"]
    assert checks.mend(site.ground, wrong) == ""
