# Everything works on a fresh machine with Python 3.11+, git and make: the targets make .venv themselves.
PY = .venv/bin/python

.PHONY: setup demo test alone soak check format bench wheels docs clean

setup:
	@sh scripts/setup.sh

demo: setup          ## agents message each other, are woken in a terminal, restart with their memory, and one joins from a clone
	@$(PY) examples/demo

test: wheels         ## every check, with counts that end within ten minutes on two cores
	$(PY) -m pytest -n 4 --dist loadfile

alone: wheels        ## the tests of each plugin where no other one is installed
	@sh scripts/alone.sh

soak: wheels         ## the same checks with the full counts
	THRUM_SOAK=1 $(PY) -m pytest -n 4 --dist loadfile

check: setup         ## format, lint, types, dependency direction, generated docs
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m mypy --strict $(wildcard plugins/*/src)
	.venv/bin/lint-imports

format: setup
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: wheels        ## every figure we claim, as a ratio measured in one run
	$(PY) -m bench

wheels: setup        ## wheels of everything and of its dependencies, in dist/wheelhouse
	@sh scripts/wheels.sh

docs: setup          ## write docs/reference anew from the code
	$(PY) -m docs.generate

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
