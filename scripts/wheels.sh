#!/bin/sh
# Wheels of thrum, of every plugin and of all they depend on, in dist/wheelhouse: enough for
#   pip install --no-index --find-links dist/wheelhouse thrum
# Ours are built each time; the dependencies' are fetched again only when the constraints or a project file changed.
# All is made aside and takes the place of the earlier folder at the end: a build that fails leaves that as it was, and
# no wheel of another version stays in it.
set -eu
cd "$(dirname "$0")/.."
house=dist/wheelhouse
new=$house.new
old=$house.old
rm -rf "$new" "$old"
mkdir -p "$house" "$new"
trap 'rm -rf "$new"' EXIT

projects=.
for project in plugins/*/pyproject.toml; do
    [ -f "$project" ] && projects="$projects $(dirname "$project")"
done

# shellcheck disable=SC2086 # one word a project
.venv/bin/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w "$new" $projects

current=$(cat constraints.txt pyproject.toml plugins/*/pyproject.toml 2>/dev/null | cksum)
if [ -f "$house/.dependencies" ] && [ "$(cat "$house/.dependencies")" = "$current" ]; then
    for wheel in "$house"/*.whl; do
        case ${wheel##*/} in
            thrum-* | thrum_*) ;;
            *) ln "$wheel" "$new/" ;;
        esac
    done
else
    .venv/bin/python -m pip wheel -q --disable-pip-version-check -c constraints.txt --find-links "$house" \
        -w "$new" "$new"/thrum*.whl
fi
printf '%s' "$current" >"$new/.dependencies"

mv "$house" "$old"
mv "$new" "$house"
rm -rf "$old"
