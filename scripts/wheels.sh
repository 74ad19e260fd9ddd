#!/bin/sh
# Wheels of thrum, of every plugin and of all they depend on, in dist/wheelhouse: enough for
#   pip install --no-index --find-links dist/wheelhouse thrum
# Ours are built each time; the dependencies' are fetched again only when the constraints or a project file changed.
set -eu
cd "$(dirname "$0")/.."
house=dist/wheelhouse
mkdir -p "$house"

projects=.
for project in plugins/*/pyproject.toml; do
    [ -f "$project" ] && projects="$projects $(dirname "$project")"
done

rm -f "$house"/thrum-*.whl "$house"/thrum_*.whl
# shellcheck disable=SC2086 # one word a project
.venv/bin/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w "$house" $projects

current=$(cat constraints.txt pyproject.toml plugins/*/pyproject.toml 2>/dev/null | cksum)
if [ ! -f "$house/.dependencies" ] || [ "$(cat "$house/.dependencies")" != "$current" ]; then
    .venv/bin/python -m pip wheel -q --disable-pip-version-check -c constraints.txt --find-links "$house" \
        -w "$house" "$house"/thrum*.whl
    printf '%s' "$current" >"$house/.dependencies"
fi
