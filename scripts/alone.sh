#!/bin/sh
# Runs the tests of each plugin where only that plugin is installed beside the kernel, from wheels: a plugin must not
# need another one that happens to be there. Arguments: names of folders in plugins/; none = all.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

[ $# -gt 0 ] || set -- $(for project in plugins/*/pyproject.toml; do basename "$(dirname "$project")"; done)
for plugin in "$@"; do
    env=build/alone/$plugin
    rm -rf "$env"
    .venv/bin/python -m venv "$env"
    "$env/bin/python" -m pip install -q --disable-pip-version-check --no-index --find-links dist/wheelhouse \
        "$(echo "$plugin" | tr _ -)"
    "$env/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt hypothesis pytest
    echo "alone: $plugin"
    (cd "plugins/$plugin" && THRUM_PLUGINS_STRICT=1 "$root/$env/bin/python" -m pytest -q -p no:cacheprovider \
        -c "$root/pyproject.toml" --rootdir . tests)
    rm -rf "$env"
done
