#!/bin/sh
# Makes .venv with everything that development, the demo and the tests need. Safe to run again: it does nothing when
# nothing changed. Needs Python 3.11 or later and git; says so where they are missing.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

missing_package() { # what, Debian package, Homebrew formula
    say "setup: $1 is missing."
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "setup: installing $2 with apt-get"
        apt-get update -qq >&2 && apt-get install -y -qq "$2" >&2 && return 0
    fi
    say "setup: cannot install it from here. Install it and run make again:"
    say "  Debian, Ubuntu:  sudo apt-get install $2"
    say "  macOS:           brew install $3"
    exit 1
}

find_python() {
    for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

command -v git >/dev/null 2>&1 || missing_package "git" git git

stamp=.venv/.thrum-setup
current=$(cat pyproject.toml constraints.txt hatch_build.py thrum_kernel/cli/client.py plugins/*/pyproject.toml 2>/dev/null | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$current" ]; then
    exit 0
fi

if [ ! -x .venv/bin/python ]; then
    python=$(find_python) || missing_package "Python 3.11 or later" python3 python@3.12
    python=$(find_python) || { say "setup: the system's Python is older than 3.11; install a newer one."; exit 1; }
    say "setup: making .venv with $python"
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        missing_package "Python's venv module" python3-venv python@3.12
        "$python" -m venv .venv
    fi
fi

say "setup: installing thrum and its tools into .venv"
projects="-e ."
for project in plugins/*/pyproject.toml; do
    [ -f "$project" ] && projects="$projects -e $(dirname "$project")"
done
# The build tools first: the projects are then built without fetching anything again.
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt hatchling editables
# shellcheck disable=SC2086 # one word a project
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation $projects \
    build hypothesis import-linter mypy pytest pytest-xdist ruff uv
printf '%s' "$current" >"$stamp"
