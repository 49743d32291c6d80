# Two commands for newcomers: `make run` starts Recado (in the sandbox if there are no keys),
# `make test` is the whole check. Everything else is listed by `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test test-postgres format check-format lint types pytest venv lock bench bench-check bench-forget bench-grow bench-knowledge rehearse-tau walk amounts \
	mutants soak \
	engines crash fuzz clean \
	install install-venv install-tools install-files uninstall dist deb image sbom licences

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/run.stamp  ## start Recado; without keys, the sandbox
	@if { [ -n "$$RECADO_STORE__URL$$RECADO_FILES__URL" ] || \
		grep -Eqs '^RECADO_(STORE|FILES)__URL=.' .env; } && \
		! $(BIN)/python -c 'import boto3, psycopg' 2>/dev/null; then \
		echo "installing the locked optional packages into $(VENV), for PostgreSQL and S3 (once)"; \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes \
			-r requirements/extras.lock || exit 1; \
	fi
	@exec $(BIN)/python -m daemon run --or-sandbox

# Two at a time: mypy and codespell use one processor.
test:  ## everything CI runs
	@$(MAKE) --no-print-directory --jobs 2 check-format lint types pytest

check-format: $(VENV)/dev.stamp
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }

lint: $(VENV)/dev.stamp  ## ruff, hadolint, and codespell on what people read
	@$(BIN)/ruff check --quiet .
	@$(BIN)/hadolint Containerfile
	@$(BIN)/codespell daemon docs tests benchmarks config systemd Makefile *.md

types: $(VENV)/dev.stamp  ## mypy, strict
	@$(BIN)/mypy --no-error-summary

# Twice the processors: the tests wait for sockets and disks as long as they compute.
WORKERS ?= $(shell expr 2 \* $$(nproc))
# $(call TESTS,NAME,ARGUMENTS): each NAME has a cache of its own, so that it is known what failed there.
# On a busy machine of CI that is run again by itself, and once more; all results are printed.
TESTS = $(call TRY,$(1)) --cache-clear --numprocesses $(WORKERS) --dist worksteal $(2) \
	$(if $(CI),|| { [ $$? -eq 1 ] && { $(call AGAIN,$(1),$(2)) || $(call AGAIN,$(1),$(2)); }; })
# They import thousands of modules in many processes: Python keeps what it has compiled, also where
# the environment forbids it.
TRY = MAKEFLAGS= PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --override-ini cache_dir=.pytest_cache/$(1)
AGAIN = $(call TRY,$(1)) --last-failed --last-failed-no-failures none --maxfail 5 $(2)
# Tried on both databases each time; without PostgreSQL it is skipped there.
CONTRACT = tests/store tests/daemon/test_takeover.py tests/daemon/test_recovery.py
pytest: $(VENV)/dev.stamp  ## the tests alone
	@status=0; $(call TESTS,all,) || status=$$?; \
	export TEST_STORE=postgres; $(call TESTS,contract,-m "not sqlite" $(CONTRACT)) || status=$$?; \
	exit $$status

format: $(VENV)/dev.stamp  ## rewrite the code in the project's format
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

venv: $(VENV)/dev.stamp  ## build .venv with the development tools

# The rest of what touches the ledger.
POSTGRES_PART = -m "not sqlite" tests/commands tests/daemon tests/notifications tests/web tests/api \
	$(addprefix tests/process/test_,crashes.py killed.py stopping.py) \
	$(addprefix --ignore=,$(filter tests/daemon/%,$(CONTRACT)))
test-postgres: $(VENV)/dev.stamp  ## all conversations, commands and pages on a private PostgreSQL
	@export TEST_STORE=postgres; $(call TESTS,postgres,$(POSTGRES_PART))

bench: $(VENV)/dev.stamp  ## measure beside the alternatives, rewrite docs/performance.md (15 min)
	@$(BIN)/python benchmarks/run.py

bench-check: $(VENV)/dev.stamp  ## hold what the hot paths and a turn execute to their limits
	@$(BIN)/python benchmarks/bench_check.py

bench-forget: $(VENV)/dev.stamp  ## what webhooks notice of forgetting, retention, a backup and pages, in some hundred megabytes
	@$(BIN)/python benchmarks/long_work.py

MESSAGES ?= 5000000
bench-grow: $(VENV)/dev.stamp  ## start, webhooks and pages as the store grows to MESSAGES=5000000 (9 GB, and as much for a copy; a quarter of an hour)
	@$(BIN)/python benchmarks/grow.py $(MESSAGES)

bench-knowledge: $(VENV)/dev.stamp  ## recall and speed of the search in documents (SHOW=1, EMBEDDINGS=http://…/v1, MODEL=)
	@EMBEDDINGS="$(EMBEDDINGS)" MODEL="$(MODEL)" $(BIN)/python benchmarks/recall.py $(if $(SHOW),--show)

# What is given on the command line is in the environment of the program.
rehearse-tau: $(VENV)/dev.stamp  ## play tasks of a tau-bench checkout: TAU=folder URL=http://…/v1 (KEY=, MODEL=, DOMAINS="retail airline", TASKS=0-9, TIMES=1)
	@$(BIN)/python benchmarks/tau.py

amounts: $(VENV)/dev.stamp  ## what the amounts validator rejects and finds of the labelled replies
	@$(BIN)/python benchmarks/amounts.py --show

# Only what is named is mutated; MUTANTS="daemon.domain.window*" for a part of it (docs/reliability.md).
MUTANTS ?=
mutants: $(VENV)/mutants.stamp  ## change the core's lines one by one: does a test fail? (hours; MUTANTS=)
	@nice -n 10 $(BIN)/mutmut run $(MUTANTS)
	@$(BIN)/mutmut results

walk: $(VENV)/dev.stamp  ## the files and functions that one webhook enters until it is answered
	@$(BIN)/python benchmarks/walk.py

SOAK_MINUTES ?= 60
soak: $(VENV)/dev.stamp  ## mixed traffic for SOAK_MINUTES=60: does anything grow?
	@$(BIN)/python benchmarks/soak.py $(SOAK_MINUTES)

engines: $(VENV)/dev.stamp  ## ask a model server at URL=http://…/v1 (KEY=, MODEL=, FIXTURES=1: docs/engines.md)
	@RECADO_ENGINE_URL="$(URL)" RECADO_ENGINE_KEY="$(KEY)" RECADO_ENGINE_MODEL="$(MODEL)" \
		RECADO_ENGINE_FIXTURES="$(FIXTURES)" \
		$(BIN)/python -m pytest -q tests/assistant/test_foreign_server.py

N ?= 1000
SEED ?= 1
GATEWAY ?= whapi
STORE ?= sqlite
crash: $(VENV)/dev.stamp  ## kill -9 at every named point, then N=1000 times at random (SEED=1, GATEWAY=whapi or cloud, STORE=sqlite or postgres)
	@TEST_STORE=$(STORE) PYTHONPATH=tests $(BIN)/python -m support.crash_main --kills $(N) --seed $(SEED) --gateway $(GATEWAY)

FUZZ_MINUTES ?= 10
fuzz: $(VENV)/dev.stamp  ## mutated input for FUZZ_MINUTES=10: the HTTP edge, parsers, functions of texts (SEED=1)
	@PYTHONPATH=tests $(BIN)/python -m fuzz --minutes $(FUZZ_MINUTES) --seed $(SEED)

$(VENV)/run.stamp: requirements/run.lock requirements/build.lock pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

$(VENV)/mutants.stamp: requirements/mutants.lock $(VENV)/dev.stamp
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mutants.lock
	@touch $@

LOCK := pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock:  ## resolve pyproject.toml again (needs pip-tools)
	$(LOCK) --output-file requirements/run.lock pyproject.toml
	$(LOCK) --extra dev --extra otlp --extra notify --extra postgres --extra s3 --extra vectors --extra mcp --extra oidc --constraint requirements/run.lock \
		--output-file requirements/dev.lock pyproject.toml
	$(LOCK) --extra otlp --extra notify --extra postgres --extra s3 --extra vectors --extra mcp --extra oidc --constraint requirements/dev.lock \
		--output-file requirements/extras.lock pyproject.toml
	$(LOCK) --extra mutants --constraint requirements/dev.lock \
		--output-file requirements/mutants.lock pyproject.toml
	sed -n '/^flit-core==/,/^    # via/p' requirements/dev.lock > requirements/build.lock

# -- as a system service: docs/operating.md ---------------------------------------------------
DESTDIR ?=
PREFIX ?= /opt/recado
BIN_DIR ?= /usr/local/bin
SHARE_DIR ?= /usr/local/share
UNIT_DIR ?= /etc/systemd/system
CATALOG_DIR ?= /usr/lib/systemd/catalog
CONFIG_DIR ?= /etc/recado
INSTALLED = $(DESTDIR)$(PREFIX)/venv
NEW = $(INSTALLED).new
RECADO ?= $(INSTALLED)/bin/python -m daemon
COMPLETIONS = \
	bash:$(SHARE_DIR)/bash-completion/completions/recado \
	zsh:$(SHARE_DIR)/zsh/site-functions/_recado \
	fish:$(SHARE_DIR)/fish/vendor_completions.d/recado.fish

install: install-venv install-files  ## as a service below /opt/recado (DESTDIR=, PREFIX=, EXTRAS=1: otlp, notify, postgres, s3, vectors, mcp); as root
	@[ -n "$(DESTDIR)" ] || { systemctl daemon-reload && journalctl --update-catalog; }
	@echo "installed; next: docs/operating.md, Configure (or, after an upgrade:" \
		"systemctl restart recado.service)"

# Beside the old one, which is put aside only when the new one is complete: venv.old is the way back.
# What it is called inside of its scripts is where it will be.
install-venv:
	@rm -rf "$(NEW)"
	@$(PYTHON) -m venv "$(NEW)"
	@$(NEW)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--require-hashes -r requirements/$(if $(EXTRAS),extras,run).lock -r requirements/build.lock
	@$(NEW)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--no-deps --no-build-isolation .
	@$(NEW)/bin/python -m pip uninstall --quiet --yes flit_core
	@$(MAKE) --no-print-directory install-tools
	@grep -rlIF "$(NEW)" "$(NEW)/bin" "$(NEW)/pyvenv.cfg" | xargs sed -i 's|$(NEW)|$(PREFIX)/venv|g'
	@$(NEW)/bin/python -m compileall -q -s "$(NEW)" -p "$(PREFIX)/venv" "$(NEW)/lib" || true
	@rm -rf "$(INSTALLED).old"
	@[ ! -e "$(INSTALLED)" ] || mv "$(INSTALLED)" "$(INSTALLED).old"
	@mv "$(NEW)" "$(INSTALLED)"

# What operators' tools need, in every new venv. Recado's own packages keep their versions; pip checks
# the hashes of a file that has some.
install-tools:
	@[ -e "$(DESTDIR)$(CONFIG_DIR)/recado.toml" ] || exit 0; \
	file="$$($(NEW)/bin/python -m daemon tools --config "$(DESTDIR)$(CONFIG_DIR)/recado.toml" \
		requirements)" || exit 1; \
	[ -z "$$file" ] || { $(NEW)/bin/python -m pip freeze --exclude recado > "$(NEW)/recado.constraints" && \
		$(NEW)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
			--requirement "$$file" --constraint "$(NEW)/recado.constraints"; }

# A configuration that is there is left alone.
install-files:
	@install -d "$(DESTDIR)$(UNIT_DIR)" "$(DESTDIR)$(CATALOG_DIR)" "$(DESTDIR)$(BIN_DIR)" \
		"$(DESTDIR)$(CONFIG_DIR)"
	@for unit in recado.service recado.socket; do \
		sed 's|/opt/recado/|$(PREFIX)/|' systemd/$$unit > "$(DESTDIR)$(UNIT_DIR)/$$unit" && \
		node="$(DESTDIR)$(UNIT_DIR)/$$(echo $$unit | sed 's/\./@./')" && \
		sed -f systemd/node.sed "$(DESTDIR)$(UNIT_DIR)/$$unit" > "$$node" && \
		chmod 644 "$(DESTDIR)$(UNIT_DIR)/$$unit" "$$node" || exit 1; \
	done
	@install -m 644 systemd/recado.catalog "$(DESTDIR)$(CATALOG_DIR)/recado.catalog"
	@ln -sfn "$(PREFIX)/venv/bin/recado" "$(DESTDIR)$(BIN_DIR)/recado"
	@for each in $(COMPLETIONS); do \
		install -d "$$(dirname "$(DESTDIR)$${each#*:}")" && \
		$(RECADO) completion $${each%%:*} > "$(DESTDIR)$${each#*:}" || exit 1; \
	done
	@install -d -m 700 "$(DESTDIR)$(CONFIG_DIR)/credentials"
	@[ -e "$(DESTDIR)$(CONFIG_DIR)/recado.toml" ] || { \
		sed 's|^# instructions_file = "config/instructions.md"|instructions_file = "instructions.md"|' \
			config/recado.toml > "$(DESTDIR)$(CONFIG_DIR)/recado.toml" && \
		chmod 644 "$(DESTDIR)$(CONFIG_DIR)/recado.toml"; }
	@[ -e "$(DESTDIR)$(CONFIG_DIR)/instructions.md" ] || \
		install -m 644 config/instructions.md "$(DESTDIR)$(CONFIG_DIR)/instructions.md"

uninstall:  ## stop and remove the service; configuration and data stay
	@[ -n "$(DESTDIR)" ] || systemctl disable --now recado.socket recado.service || true
	@[ -n "$(DESTDIR)" ] || systemctl stop 'recado@*.socket' 'recado@*.service' || true
	@rm -f "$(DESTDIR)$(UNIT_DIR)"/recado.service "$(DESTDIR)$(UNIT_DIR)"/recado.socket \
		"$(DESTDIR)$(UNIT_DIR)"/recado@.service "$(DESTDIR)$(UNIT_DIR)"/recado@.socket \
		"$(DESTDIR)$(CATALOG_DIR)/recado.catalog" "$(DESTDIR)$(BIN_DIR)/recado"
	@for each in $(COMPLETIONS); do rm -f "$(DESTDIR)$${each#*:}"; done
	@rm -rf "$(INSTALLED)" "$(INSTALLED).old" "$(NEW)"
	@rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(PREFIX)" 2>/dev/null || true
	@[ -n "$(DESTDIR)" ] || { systemctl daemon-reload && journalctl --update-catalog; }
	@echo "left: $(DESTDIR)$(CONFIG_DIR) and $(DESTDIR)/var/lib/recado"

# -- what is passed on ------------------------------------------------------------------------
# Both come out the same from the same files, whenever and wherever they are made.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800)

dist: $(VENV)/dev.stamp  ## wheel and source distribution into dist/
	@mkdir -p dist
	@$(BIN)/python -c 'from flit_core import buildapi; print(buildapi.build_sdist("dist")); \
		print(buildapi.build_wheel("dist"))'

# For the Debian that it is made on: the virtual environment uses the system's Python, which is built
# with PGO and LTO.
DIST = $(CURDIR)/dist
DEB = $(DIST)/deb
DEB_COMPRESSION = -Zxz
DEB_EXTRAS = 1
DEB_ARCHITECTURE = $(shell dpkg --print-architecture)
deb: PYTHON = /usr/bin/python3
deb:  ## dist/recado_VERSION_ARCHITECTURE.deb, which `apt install ./…` takes
	@rm -rf $(DEB) && mkdir -p $(DEB)
	@$(MAKE) --no-print-directory install DESTDIR=$(DEB) PYTHON=$(PYTHON) \
		EXTRAS=$(DEB_EXTRAS) UNIT_DIR=/usr/lib/systemd/system BIN_DIR=/usr/bin SHARE_DIR=/usr/share >/dev/null
	@install -d $(DEB)/DEBIAN
	@install -m 755 systemd/debian/postinst systemd/debian/prerm systemd/debian/postrm $(DEB)/DEBIAN/
	@install -m 644 systemd/debian/conffiles $(DEB)/DEBIAN/
	@$(PYTHON) -c 'import sys; v = sys.version_info; print("%d.%d %d.%d" % (*v[:2], v[0], v[1] + 1))' | \
	while read -r python next; do \
		version=$$($(DEB)$(PREFIX)/venv/bin/python -c "import daemon; print(daemon.__version__)") && \
		sed "s/@VERSION@/$$version/; s/@ARCHITECTURE@/$(DEB_ARCHITECTURE)/; s/@PYTHON@/$$python/; \
			s/@NEXT_PYTHON@/$$next/; s/@KILOBYTES@/$$(du -sk $(DEB) | cut -f1)/" \
			systemd/debian/control > $(DEB)/DEBIAN/control && \
		dpkg-deb --root-owner-group $(DEB_COMPRESSION) --build $(DEB) \
			$(DIST)/recado_$${version}_$(DEB_ARCHITECTURE).deb || exit 1; \
	done

CONTAINERS = $(shell command -v podman || echo docker)
image:  ## the image recado, by podman or docker; compose.yaml runs it beside PostgreSQL
	@$(CONTAINERS) build $(if $(findstring podman,$(CONTAINERS)),--format docker) \
		--file Containerfile --tag recado .

sbom: $(VENV)/dev.stamp  ## the packages of run.lock with their hashes, as CycloneDX, into dist/
	@mkdir -p dist
	@$(BIN)/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file dist/recado.cdx.json requirements/run.lock
	@echo dist/recado.cdx.json

licences: $(VENV)/dev.stamp  ## docs/licences.md, from what the packages of run.lock say
	@$(BIN)/python requirements/licences.py > docs/licences.md

clean:  ## remove what make built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
