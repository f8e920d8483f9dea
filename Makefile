# Two commands: `make search` (SPEC=..., ARGS=...) and `make test`. Each sets up .venv first.

PYTHON ?= python3
SPEC ?= spaces/quickstart.yaml
ARGS ?=
UV_VERSION := 0.13.9
READY := .venv/.ready

.PHONY: search test check lock
.DELETE_ON_ERROR:

search: $(READY)
	@.venv/bin/python -m search.run $(SPEC) $(ARGS)

# The fast ones, those with processes of their own, and searches on Ray, which need all cores and follow one by one.
# With ARGS one of the three may find no test, which is 5 to pytest.
test: $(READY)
	.venv/bin/python -m pytest -m "not slow and not ray and not process" -n auto --dist loadfile $(ARGS) || [ $$? = 5 ]
	.venv/bin/python -m pytest -m "process and not slow and not ray" -n auto --dist loadfile $(ARGS) || [ $$? = 5 ]
	.venv/bin/python -m pytest -m "ray and not slow" $(ARGS) || [ $$? = 5 ]

check: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --requirement requirements.txt
	@touch $(READY)

lock: $(READY)  ## after a change to the dependencies in pyproject.toml
	.venv/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url --quiet --output-file requirements.txt
