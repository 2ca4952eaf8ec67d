# Two commands do everything: `make demo` and `make test`. Both build their own .venv first.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := .venv/.demo
WHEELS := .wheels/bin

.PHONY: help demo test test-long fuzz docs check check-page mutate bench lessons wheels clean

help:
	@echo "make demo   set up, train on the embedded corpus, evaluate, complete"
	@echo "make test   set up, run the tests: minutes, and the same answer each time"
	@echo "make test-long  set up, run the few tests that take long"
	@echo "make fuzz   set up, run the property tests on examples drawn anew; SEED=N draws those of a run again"
	@echo "make docs   set up, build the documentation site into build/site, without a network"
	@echo "make check  set up, run the checks: ruff, pyright, import-linter, generated pages, spelling"
	@echo "make check-page  set up, fetch axe-core and Lighthouse with npm, check the page with them in Chromium"
	@echo "make mutate MODULE=decoding/filters  set up, change a module in small ways, list what none of its tests notices"
	@echo "make lessons  set up, write the notebooks and pages of the lesson"
	@echo "make wheels  build an sdist and wheels for seven platforms into dist/, and check them (needs no compiler)"
	@echo "make bench  set up, run the benchmarks (long; needs the network or KAMMIL_DATA_DIR)"

# What training and serving need, without what only developers need, which is several times as much.
$(DEMO): pyproject.toml hatch_build.py src/kammil/engine/kernel.c
	@$(PYTHON) -m venv .venv
	@echo "Installing Kammil and what training needs, PyTorch too, into .venv: minutes, and pip says nothing meanwhile."
	@$(BIN)/python -m pip install --quiet --editable '.[train,serve,type]'
	@touch $(DEMO)

$(READY): $(DEMO)
	@echo "Installing what developers need, some hundred packages: minutes, and pip says nothing meanwhile."
	@$(BIN)/python -m pip install --quiet --editable '.[dev]' --editable models/levantine-all
	@touch $(READY)

BEGINNINGS := "صباح ال" "بكرا الصبح لازم " "شو رأيكم نطلع عال"
demo: $(DEMO)
	@rm -rf demo
	$(BIN)/kammil data split sample --test 0.1 --out demo/texts >/dev/null
	$(BIN)/kammil train demo/texts/train.txt --minutes 1 --out demo/model
	$(BIN)/kammil evaluate demo/model demo/texts/test.txt --samples 0
	@for text in $(BEGINNINGS); do \
	  echo "$$text"; \
	  for model in demo/model levantine; do \
	    words=$$($(BIN)/kammil suggest "$$text" -k 3 --model $$model) || exit 1; \
	    echo "  $$model: $$(echo "$$words" | paste -s -d '/')"; \
	  done; \
	done
	@echo "demo/model learnt from these few texts for a minute; levantine is bundled. Go on with:"
	@echo "  $(BIN)/kammil type                       a line to type on; $(BIN)/kammil serve: a page"
	@echo "  $(BIN)/kammil train FILE --out my-model  texts of your own, a line each, a table or a chat"
	@echo "  $(BIN)/kammil --help                     all commands; docs/start.md begins slowly"

# Every worker of pytest has a core, so more threads would only wait for each other.
test test-long fuzz: export OMP_NUM_THREADS = 1
test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile

test-long: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile -m long

# `make test` tries the same examples each time. What is found here by chance becomes an `@example` of its test.
SEED := $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
fuzz: $(READY)
	@echo "The seed is $(SEED): make fuzz SEED=$(SEED) draws these examples again."
	$(BIN)/python -m pytest -n auto -m hypothesis --hypothesis-profile=fuzz --hypothesis-seed=$(SEED)

# zig compiles for every platform; hatch_build.py names them. benchmarks/wheels.py installs and runs what can run here.
.wheels/.ready: Makefile
	$(PYTHON) -m venv .wheels
	$(WHEELS)/python -m pip install --quiet 'ziglang>=0.17,<0.18' 'hatchling>=1.27' build twine check-wheel-contents auditwheel lief
	touch .wheels/.ready

wheels: .wheels/.ready
	rm -rf dist
	$(WHEELS)/python -m build --no-isolation --sdist
	set -e; for tag in $$($(WHEELS)/python hatch_build.py); do \
	  KAMMIL_TARGET=$$tag $(WHEELS)/python -m build --no-isolation --wheel; done
	$(WHEELS)/python -m build --no-isolation --wheel --outdir dist models/levantine-all
	$(WHEELS)/twine check --strict dist/*
	$(WHEELS)/check-wheel-contents --ignore W002 dist/*.whl
	set -e; for wheel in dist/*manylinux*.whl; do $(WHEELS)/auditwheel show $$wheel | grep -A1 "consistent with"; done
	ls -l dist

# Gathers the pages and builds them with zensical: docs/build.py.
docs: $(READY)
	$(BIN)/python docs/build.py

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python docs/refresh.py --check
	$(BIN)/codespell

lessons: $(READY)
	$(BIN)/python docs/lessons/build.py

# Tools of npm: axe-core and Lighthouse drive the Chromium that is there, esbuild and TypeScript read the package of
# `kammil export --format web`. Without npm, node or Chromium the checks are skipped, and say why.
PAGE_TOOLS := .page/.ready
$(PAGE_TOOLS): Makefile
	@if command -v npm >/dev/null; then \
	  PUPPETEER_SKIP_DOWNLOAD=1 npm install --prefix .page --no-save --no-audit --no-fund --loglevel=error \
	    axe-core@4.14 esbuild@0.28 lighthouse@12 typescript@7 && touch $@; \
	else echo "npm is not here, so pages and the package are not checked with its tools: apt-get install npm"; fi

check-page: $(READY) $(PAGE_TOOLS)
	$(BIN)/python -m pytest -rs tests/server/playground tests/exporting/test_web_page.py tests/exporting/test_npm.py

# `make mutate MODULE=decoding/filters` changes a module in small ways and shows every change to the tests of its name:
# a minute or two. What survives wants a test, or is no change that anybody could see; in build/mutate,
# `mutmut show NAME` shows one. Tests that need a trained model share one, made by code without a change.
MODULE ?= decoding/filters
mutate: export KAMMIL_TEST_MODELS = $(CURDIR)/build/mutate/models
mutate: $(READY)
	rm -rf build/mutate && mkdir -p build/mutate
	cp -a src tests pyproject.toml README.md build/mutate
	printf '\n[tool.mutmut]\nsource_paths = ["src"]\nonly_mutate = ["src/kammil/%s.py"]\n%s = ["tests/%s"]\n' '$(MODULE)' \
	  pytest_add_cli_args_test_selection '$(dir $(MODULE))test_$(notdir $(MODULE)).py' >> build/mutate/pyproject.toml
	cd build/mutate && $(CURDIR)/$(BIN)/mutmut run && $(CURDIR)/$(BIN)/mutmut results

# Threads that spin while they wait slow both sides of a comparison down on a busy machine.
bench: export OMP_WAIT_POLICY = PASSIVE
bench: $(READY)
	$(BIN)/python benchmarks/notebook.py
	$(BIN)/python benchmarks/lev30.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/duplicates.py
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/builds.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/families.py
	$(BIN)/python benchmarks/load.py --soak 10
	$(BIN)/python benchmarks/fuzz.py

clean:
	rm -rf .venv .page demo mutants
