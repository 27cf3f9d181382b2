# Everything a newcomer needs: `make rope` and `make test`. Both make .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
TOKENS ?= 1000000

.PHONY: venv test rope research lint ci clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch,plots,dev]'
	touch $@

