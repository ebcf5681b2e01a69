# Two commands to start with: `make demo` and `make test`. Everything else is listed by `make help`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help demo test lowest examples mutants mutants-coq verify proofs check bench gpu docs notebook clean
help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)    ## the toy experiment, searches on digits and on text, and one page that shows them (3 to 5 minutes)
	$(RUN) -m simulate demo

test: $(VENV)    ## all tests (11 to 13 minutes on two cores, on slow ones more than 20)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto

# uv resolves each lower bound of pyproject.toml to the oldest release it admits, torch among them.
LOWEST := .venv-lowest
lowest:          ## the fast tests beside the oldest releases that pyproject.toml admits (for Python 3.11)
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/python -m uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n auto -m 'not slow'

# MUTANTS= tries every change: of nas/estimators.py, optimisers.py and step.py 864 in about five minutes of one core; theory
# has 9,700 more. MUTANTS="--json all.jsonl" goes on where it was stopped; MUTANTS="--sample 40 --seed 1" is another sample.
MUTANTS ?= --sample 40
MUTATED := $(addprefix nas/,estimators.py policy.py optimisers.py samples.py objective.py methods.py step.py) theory
mutants: $(VENV) ## would the tests notice? A sample of 40 small changes to the algorithm and the theory, and what survives
	OMP_NUM_THREADS=1 $(RUN) tests/mutants.py $(MUTANTS) $(MUTATED)

examples: $(VENV) ## the scripts of examples/, one after another (seconds each)
	for script in examples/*.py; do echo "== $$script"; $(RUN) $$script || exit 1; done

mutants-coq: $(VENV) ## would Coq notice? A sample of 20 changes to definitions, hypotheses and statements (needs Coq)
	$(RUN) tests/proofs/mutants.py --sample 20

verify: $(VENV)  ## the ledger: every claim checked in four ways, every control caught (about 90 s)
	$(RUN) -m theory verify

proofs:          ## the Coq development from clean, with the assumptions of every main theorem (under 3 minutes)
	$(PYTHON) proofs/check.py --install

docs: $(VENV)    ## the site, in site/: strict, so a link that leads nowhere or a public name without a docstring fails
	$(RUN) -c 'import material' 2>/dev/null || $(RUN) -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

notebook: $(VENV) ## the tutorial as an executed notebook, tutorial.ipynb (a minute)
	$(RUN) -c 'import nbclient, ipykernel' 2>/dev/null || $(RUN) -m pip install --quiet --editable '.[notebook]'
	$(RUN) docs/site/notebook.py docs/tutorial.md tutorial.ipynb --execute

check: $(VENV)   ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy nas theory simulate

bench: $(VENV)   ## every benchmark that needs no run of yours (some on CIFAR-10 do)
	for script in $(filter-out %/cifar_precision.py %/cifar_ranking.py %/cifar_readouts.py %/cifar_ranked.py %/cifar_found.py %/cifar_budget.py %/gpu.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(RUN) $$script || exit 1; done

gpu: $(VENV)     ## on a machine with a GPU: its tests, step benchmarks, a full search a task, a comparison; gpu/report.md
	$(RUN) benchmarks/gpu.py

# torch decides the size of the environment: the pinned release is the CPU build where the package index offers that. An
# environment that already has torch (a CPU build from elsewhere, or a CUDA build) keeps it: make VENV=path/to/it, or pip install -e '.[dev]'.
$(VENV): pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -c 'import torch' 2>/dev/null || $(RUN) -m pip install --quiet torch==2.13.0
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $(VENV)

clean:           ## remove the environment and everything generated
	rm -rf $(VENV) $(LOWEST) demo runs site tutorial.ipynb .pytest_cache .mypy_cache .ruff_cache .hypothesis
