# make report, make test: the first one that runs also creates the environment.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all
# `make test CONSTRAINTS=` in a new clone: the newest versions of all dependencies.
CONSTRAINTS ?= --constraint constraints.txt

.PHONY: report test test-cluster test-install lint docs bench clean

report: .venv/installed
	@touch .venv/started
	$(BIN)/snakemake --cores $(CORES) results/report.csv results/report.html results/predictions.h5
	@# Print the table unless the run has just printed it.
	@[ results/report.csv -nt .venv/started ] || $(BIN)/lpclip summary results/report.csv
	@echo "The page: results/report.html. Tables: results/*.csv. Caches: cache/. Logs: logs/."

test: .venv/installed
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not slurm and not install'

# Starts a Slurm of its own on this machine, as whoever runs it; installs nothing. It requires
# Debian's slurm-wlm, slurm-wlm-basic-plugins and munge, and: pip install -e '.[slurm]'
test-cluster: .venv/installed
	$(BIN)/pytest -m slurm -rs -s tests/cluster

# Installs the wheel with its dependencies in fresh environments, by pip and, where they are installed,
# by uv and pipx, and makes a report in an empty folder. It may download gigabytes.
test-install: .venv/installed
	$(BIN)/pytest -m install -rs -s tests/install

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# The documentation as a site, build/site/index.html; stops at a link that leads nowhere.
docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site: build/site/index.html, or $(BIN)/mkdocs serve."

# Small sizes, under ten minutes on two cores; benchmarks/README.md reports the full sizes.
bench: .venv/installed
	$(BIN)/python benchmarks/speed/caches.py
	$(BIN)/python benchmarks/speed/corruptions.py --pixels 224 --repeats 1
	$(BIN)/python benchmarks/speed/extraction.py --images 64 --repeats 1 --workers 0 1 2 \
		--name extraction_workers
	$(BIN)/python benchmarks/speed/encoders.py --repeats 3
	$(BIN)/python benchmarks/speed/memory.py --images 1000 100000
	$(BIN)/python benchmarks/speed/probes.py --samples 10000 --repeats 1
	$(BIN)/python benchmarks/speed/evaluation.py
	$(BIN)/python benchmarks/speed/shards.py --images 8192 --jobs 1 4 --joined 40960
	$(BIN)/python benchmarks/speed/workflow.py

# Recreated when the dependencies change or an installation was interrupted.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lpclip needs Python 3.11 or newer; give one with: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(CONSTRAINTS) --editable '.[dev]'
	touch $@

clean:
	rm -rf cache results logs .snakemake
