# The commands of every day; each first makes sure that what it needs is there.
.PHONY: setup kernel demo test check lint bench clean

# what Python compiles is kept, whatever the caller's environment says: tests start it often
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
allow := $(if $(ALLOW_NO_LAB),--allow-skipped-labs)

setup:
	@scripts/setup

kernel: setup  ## the lab kernel, built once; without it runs take the wall-clock lab and say so
	@$(bin)/testbed kernel build || echo 'make: no lab kernel, so no virtual time here'

demo: kernel  ## run the example experiment and write its report
	$(bin)/testbed run metro_slices
	$(bin)/testbed report
	@echo 'For the commands of the README, once in each terminal: . $(bin)/activate'

# without a lab the tests fail; `make test ALLOW_NO_LAB=1` lets them be skipped
test: lint  ## all that check does; random searches draw all examples; thorough tests; then those
            ## that boot a lab: in real time one by one, exact ones two at a time. Afterwards
            ## `coverage report` shows what the first ones leave out
	$(bin)/testbed kernel build$(if $(ALLOW_NO_LAB), || true)
	$(bin)/pytest -n auto --timeout 240 -m 'not lab' --hypothesis-profile=thorough \
	  --cov --cov-report=
	$(bin)/pytest $(allow) -m 'lab and not exact'
	$(bin)/pytest $(allow) -n 2 --dist loadfile -m exact

check: lint  ## what must hold before a commit
	$(bin)/pytest -n auto --timeout 120 -m 'not lab and not thorough'

lint: setup
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports

bench: kernel  ## delays against the plan, wall time, build times against stock Mininet
	$(bin)/python -m benchmarks.fidelity
	$(bin)/python -m benchmarks.cost
	$(bin)/testbed exec --lab wall -- python3 -m benchmarks.build

clean:  ## remove what setup and runs made here; results and the cached image stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage* .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
