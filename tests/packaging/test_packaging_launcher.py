"""The installed ``thrum`` script: from real wheels, by real installers, wherever it lies and however it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from thrum_kernel import __version__

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
BUILD = "import sys, hatchling.build as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel is built from, apart from everything else in the repository."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "hatch_build.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "README.md").write_text("Thrum\n")
    shutil.copytree(
        ROOT / "thrum_kernel", folder / "thrum_kernel", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def build(checkout: Path, kind: str, out: Path) -> Path:
    """A wheel of *checkout*, made by the backend that installers call."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(out)],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the kernel."""
    return build(checkout, "wheel", tmp_path_factory.mktemp("wheels"))


def environment(folder: Path) -> Path:
    """A virtual environment that sees the libraries of the one that runs the tests, but not its thrum."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    libraries = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def install(wheel: Path, venv: Path, *, by: str) -> Path:
    """Install without looking anything up; gives the script."""
    python = str(venv / "bin" / "python")
    words = {
        "pip": [sys.executable, "-m", "pip", "--python", python, "install", "--disable-pip-version-check"],
        "uv": [str(UV), "pip", "install", "--python", python, "--offline", "--no-cache"],
    }[by]
    subprocess.run([*words, "-q", "--no-deps", "--no-index", "--force-reinstall", str(wheel)], check=True)
    return venv / "bin" / "thrum"


def run(
    program: Path | str, *words: str, cwd: Path, env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """What a program gives, in an environment with nothing of this run."""
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), **(env or {})}
    done = subprocess.run([program, *words], cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


installers = pytest.mark.parametrize(
    "by", ["pip", pytest.param("uv", marks=pytest.mark.skipif(UV is None, reason="uv is not here"))]
)


@installers
def test_installed_it_runs_from_paths_with_spaces_and_through_links(
    wheel: Path, tmp_path: Path, by: str
) -> None:
    venv = environment(tmp_path / "an environment")
    script = install(wheel, venv, by=by)
    relative, absolute, chain = (tmp_path / name for name in ("relative link", "absolute", "chain"))
    relative.symlink_to("an environment/bin/thrum")
    absolute.symlink_to(script)
    chain.symlink_to("relative link")

    for program in (script, relative, absolute, chain, "./absolute", "an environment/bin/thrum"):
        status, out, err = run(program, "version", "--json", cwd=tmp_path)

        assert (status, err) == (0, "")
        assert f'"version": "{__version__}"' in out
    by_path = {"PATH": f"{venv / 'bin'}:/usr/bin:/bin"}
    assert run("/bin/sh", "-c", "thrum version", cwd=tmp_path, env=by_path)[0] == 0


def test_it_takes_its_bytecode_where_the_python_is_the_one_that_built_it(wheel: Path, tmp_path: Path) -> None:
    venv = environment(tmp_path / "env")
    script = install(wheel, venv, by="pip")
    (compiled,) = (venv / "share" / "thrum").iterdir()
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (venv / "bin" / "python").chmod(0o755)

    assert (
        run(script, "a b", cwd=tmp_path)[1]
        == f"-IS|{script.parent}/../share/thrum/{compiled.name}|{script}|a b|"
    )
    (venv / "lib" / sysconfig_folder()).rename(venv / "lib" / "python3.99")
    assert run(script, "a b", cwd=tmp_path)[1] == f"-IS|{script}|{script}|a b|"


def test_without_its_bytecode_it_does_the_same(wheel: Path, tmp_path: Path) -> None:
    venv = environment(tmp_path / "env")
    script = install(wheel, venv, by="pip")
    before = run(script, "version", cwd=tmp_path)

    for compiled in (venv / "share" / "thrum").iterdir():
        compiled.unlink()

    assert run(script, "version", cwd=tmp_path) == before
    assert before[0] == 0


def sysconfig_folder() -> str:
    """The folder of this Python's libraries, ``python3.11``."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def test_an_editable_install_has_it_too(checkout: Path, tmp_path: Path) -> None:
    pytest.importorskip("editables")
    made = build(checkout, "editable", tmp_path)
    script = install(made, environment(tmp_path / "env"), by="pip")

    status, out, err = run(script, "version", cwd=tmp_path)

    assert (status, err) == (0, "")
    assert __version__ in out


def test_an_installation_of_the_user_finds_the_python_of_its_folder(wheel: Path, tmp_path: Path) -> None:
    base = tmp_path / "user base"
    words = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--ignore-installed",  # else pip takes away the thrum that runs these tests
    ]
    subprocess.run([*words, "--prefix", str(base), "--no-warn-script-location", str(wheel)], check=True)
    version = sysconfig_folder()
    right = tmp_path / "tools"
    right.mkdir()
    (right / version).write_text('#!/bin/sh\necho "$0 $1 $2"\n')
    (right / "python3").write_text("#!/bin/sh\necho wrong\n")
    for tool in right.iterdir():
        tool.chmod(0o755)

    _, out, _ = run(base / "bin" / "thrum", "version", cwd=tmp_path, env={"PATH": f"{right}:/usr/bin:/bin"})

    assert out == f"{right / version} -IS {base}/bin/../share/thrum/client.{version}.pyc\n"


def test_uninstalling_leaves_nothing(wheel: Path, tmp_path: Path) -> None:
    venv = environment(tmp_path / "env")
    script = install(wheel, venv, by="pip")
    words = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "uninstall", "-q", "-y"]

    subprocess.run([*words, "--disable-pip-version-check", "thrum"], check=True, capture_output=True)

    assert not script.exists()
    assert not (venv / "share" / "thrum").exists()


def test_the_wheel_holds_the_script_once_and_no_build_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert [name for name in names if name.endswith("/thrum")] == [f"thrum-{__version__}.data/scripts/thrum"]
    assert not [
        name for name in names if "hatch_build" in name or ("entry_points" in name and "console" in name)
    ]
    assert "thrum_kernel/cli/client.py" in names


@pytest.mark.parametrize(
    "project", sorted((ROOT / "plugins").glob("*/pyproject.toml")), ids=lambda path: path.parent.name
)
def test_plugins_bring_no_script_of_that_name(project: Path) -> None:
    text = project.read_text()

    assert "hatch_build" not in text
    assert "shared-scripts" not in text
