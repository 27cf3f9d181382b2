# Everything a newcomer needs: `make rope` and `make test`. Both make the virtual environment first.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
TOKENS ?= 1000000
WORKERS = $(shell $(PYTHON) -c "import os; print(min(8, (os.cpu_count() or 1) + 1))")
EXPRUN  = $(BIN)/python -m pytest experiments/ --exprun-tokens=$(TOKENS)

# pytest rewrites the assertions of what it imports and keeps the result as bytecode: without it every session starts slowly.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv rope test research lint slow simulate field-loop integrations ci clean

help:
	@echo 'make rope      the main job: is --rope better? Trains 8 to 10 small language models, a few minutes (TOKENS=20000: seconds)'
	@echo 'make test      the test suite'
	@echo 'make research  all experiments; rewrites docs/research'
	@echo 'make lint      ruff and mypy'
	@echo 'make slow      the proofs that take long: kills, simulations, whole corpora'
	@echo 'make integrations  Ray, Hugging Face, scikit-learn and torchrun, in an environment of its own'
	@echo 'make simulate  re-derives every simulated figure of the protocol; rewrites docs/statistics-simulation.md'
	@echo 'make field-loop  a session of thirty ideas and the truth about them (an hour and more); prints the tables of docs/field/loop.md'

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch,plots,dev]'
	@touch $@

rope: venv
	$(EXPRUN) -k rope --exprun-report-dir=build/research $(ARGS)

# A worker a core and one more, as many tests wait. Whole files stay together as long as nobody is idle, so that what they set up is made once.
test: venv
	$(BIN)/python -m pytest tests --numprocesses=$(WORKERS) --dist=worksteal $(ARGS)

research: venv
	$(EXPRUN) $(ARGS)

lint: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

slow: venv
	$(BIN)/python -m pytest tests -m slow $(ARGS)

simulate: venv
	$(BIN)/python tests/simulation/simulate.py
	$(BIN)/python tests/simulation/pictures.py

# The runs lie in build/field-loop, and are not done again.
field-loop: venv
	$(BIN)/python tests/field/loop.py try confirm truth ladder table

# Software that nobody here wrote, in an environment of its own.
integrations: build/integrations/.installed
	EXPRUN_INTEGRATIONS=1 build/integrations/bin/python -m pytest tests/integrations $(ARGS)

build/integrations/.installed: pyproject.toml constraints.txt tests/integrations/constraints.txt
	$(PYTHON) -m venv build/integrations
	build/integrations/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--constraint tests/integrations/constraints.txt --editable '.[torch,plots,dev,ray]' scikit-learn transformers accelerate
	@touch $@

ci: lint test

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
