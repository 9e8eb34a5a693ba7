# make report, make test: each sets up all that it needs, once.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all

.PHONY: report test lint clean

report: .venv/installed
	@touch .venv/started
	$(BIN)/snakemake --cores $(CORES) results/report.csv results/report.html results/predictions.h5
	@# A run that did something has printed the table itself.
	@[ results/report.csv -nt .venv/started ] || $(BIN)/lpclip summary results/report.csv
	@echo "The page: results/report.html. Tables: results/*.csv. Caches: cache/. Logs: logs/."

test: .venv/installed
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# Made anew when the dependencies change; an interrupted installation is not taken for whole.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lpclip needs Python 3.11 or newer; give one with: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf cache results logs .snakemake
