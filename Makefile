# Needed: Go, Python 3 with venv, make; a C compiler for the race detector. All else is pinned here, installed by these targets, and
# cached in ${XDG_CACHE_HOME:-~/.cache}/crossfade. `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-builtin-rules --no-print-directory

# ---- Programs: a target exists, and shows in `make help`, once its package stands here --------------------------------------------
COMMANDS := $(wildcard cmd/*)
# The package of `make demo`:
DEMO     := demo
# The packages of `make bench-NAME`, NAME being the last element. Each takes -quick and -full; what is full is kept in bench/results:
BENCHES  := bench/start bench/fleet bench/rollback bench/churn bench/comparison bench/mirror bench/guards bench/datapath bench/telemetry
# The package of `make bench-compare A= B=`:
COMPARE  := bench/compare
# The package of `make soak`:
SOAK     := test/soak

# ---- Versions and folders ---------------------------------------------------------------------------------------------------------
MODULE   := github.com/crossfade-proxy/crossfade
VERSION  := $(shell git describe --tags --match 'v*' --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -X $(MODULE)/internal/version.stamped=$(VERSION)
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/crossfade
# A folder per state of tools/NAME/go.sum: an update builds anew, a return finds the old one.
tooldir   = $(CACHE)/tools/$(1)-$(shell cat tools/$(1)/go.mod tools/$(1)/go.sum | cksum | tr ' ' '-')
PROTO    := $(call tooldir,proto)
LINT     := $(call tooldir,lint)
VULN     := $(call tooldir,vuln)
SBOM     := $(call tooldir,sbom)
# The race detector needs cgo and a C compiler.
RACE     := $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v $$(go env CC) >/dev/null && echo -race)
# Packages that are tested at a time, and tests of one, of which most is waiting for an Envoy.
CPUS     := $(shell getconf _NPROCESSORS_ONLN)
JOBS     := $(shell echo $$(($(CPUS) + 1)))
# More arguments for `go test`, for example TESTFLAGS='-run TestX -v'.
TESTFLAGS ?=

# ---- Build and test ---------------------------------------------------------------------------------------------------------------
.PHONY: help build test test-semantics test-mutants test-protocols test-comparison test-guards check lint fmt proto proto-check proto-baseline docs docs-check tidy-check vuln

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-22s %s\n", $$1, $$2}' Makefile
	@$(if $(DEMO),echo "  demo [KEEP=1]          $$(go list -f '{{.Doc}}' ./$(DEMO))")
	@$(if $(BENCHES),echo "  bench                  The short form of every benchmark below: an hour"; echo "  bench-quick            The same as smoke tests, beside each other")
	@$(if $(BENCHES),echo "  bench-NAME [FULL=1]    One of them; in full it is what its aims need and bench/results keeps:")
	@$(foreach b,$(BENCHES),printf '  %-22s %s\n' bench-$(notdir $(b)) "$$(go list -f '{{.Doc}}' ./$(b))";)
	@$(if $(COMPARE),echo "  bench-compare A= B=    $$(go list -f '{{.Doc}}' ./$(COMPARE))")
	@$(if $(SOAK),echo "  soak                   $$(go list -f '{{.Doc}}' ./$(SOAK))")

build: ## Build the commands into bin/
	@mkdir -p bin
	go build ./...
	$(foreach c,$(COMMANDS),go build -ldflags '$(LDFLAGS)' -o bin/$(notdir $(c)) ./$(c);)

# In the packages below test/ all of Crossfade runs in processes of its own, where the race detector of a test sees nothing and takes CPU from what
# is measured. They come after the others, whatever became of those.
test: build ## Build, then run all tests, the ones with real Envoys included
	@$(if $(RACE),,echo 'NOTE: no C compiler: the tests run without the race detector')
	go run ./internal/cmd/kube-apiserver-path
	@failed=; set -x; \
	go test $(RACE) -p $(CPUS) -parallel $(JOBS) -timeout 20m $(TESTFLAGS) $$(go list ./... | grep -v /test/) || failed=1; \
	go test -p $(CPUS) -parallel $(CPUS) -timeout 20m $(TESTFLAGS) ./test/... || failed=1; \
	test -z "$$failed"

test-semantics: build ## The semantics tests in full: shares of 20,000 requests each, every planted bug
	CROSSFADE_FULL=1 go test -count=1 -timeout 40m -v $(TESTFLAGS) ./test/semantics

test-protocols: build ## The protocol tests in full: bodies of 1 GB, default idle timeouts waited for
	CROSSFADE_FULL=1 go test -count=1 -timeout 60m -v $(TESTFLAGS) ./test/protocols

test-mutants: build ## Only the planted bugs, all of them
	CROSSFADE_FULL=1 go test -count=1 -timeout 40m -v -run 'TestBugsFit|TestPlantedBugs' $(TESTFLAGS) ./test/semantics

test-comparison: ## How many pairs a difference needs, and how often noise is taken for one: the tables of docs/design/comparison.md, 15 minutes
	CROSSFADE_FULL=1 go test -count=1 -timeout 60m -v -run 'PairsNeeded|Tables' $(TESTFLAGS) ./pkg/shadow

test-guards: ## How soon guards see what is wrong, and how often they roll back what is not: the tables of docs/design/guards.md, and 40,000 walks of rollouts
	CROSSFADE_FULL=1 go test -count=1 -timeout 90m -v $(TESTFLAGS) ./pkg/policy/guard ./pkg/policy/rollout

check: ## What CI runs: formatting, lint, protos, go.mod, generated pages, every test anew, every benchmark as a smoke test
	@$(MAKE) tidy-check proto-check docs-check lint
	@$(MAKE) test TESTFLAGS='-count=1 $(TESTFLAGS)'
	@$(MAKE) bench-quick
	@echo 'check: all passed ($(VERSION))'

# ---- Protos -----------------------------------------------------------------------------------------------------------------------
proto: $(PROTO)/.built ## Generate the Go code of api/
	PATH="$(PROTO):$$PATH" buf generate

proto-check: $(PROTO)/.built ## Lint the protos, refuse breaking changes, and check that the generated code is theirs
	$(PROTO)/buf format --diff --exit-code api
	$(PROTO)/buf lint
	$(PROTO)/buf breaking --against api/baseline.binpb
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	PATH="$(PROTO):$$PATH" buf generate --output "$$out"; \
	for f in $$(cd "$$out/api" && find . -name '*.pb.go'); do \
	  diff -u "api/$$f" "$$out/api/$$f" || { echo "api/$$f is not what its proto generates: run make proto"; exit 1; }; \
	done

proto-baseline: $(PROTO)/.built ## Record the protos as what later ones must stay compatible with
	$(PROTO)/buf build --exclude-source-info -o api/baseline.binpb

# ---- Generated pages --------------------------------------------------------------------------------------------------------------
reference = $(PROTO)/buf build -o - | go run ./internal/cmd/yaml-reference

docs: $(PROTO)/.built ## Generate the pages of docs/ that the schema and the programs write
	$(reference) > docs/reference.md.new && mv docs/reference.md.new docs/reference.md
	UPDATE_DOCS=1 go test -count=1 -run '^TestPage$$' ./cmd/shadowctl ./cmd/xds-server ./pkg/server/metrics

docs-check: $(PROTO)/.built ## Check that docs/reference.md is what the schema says; tests hold the other pages
	@$(reference) | diff -u docs/reference.md - || { echo "docs/reference.md is not what the schema says: run make docs"; exit 1; }

# ---- Linters ----------------------------------------------------------------------------------------------------------------------
lint: $(LINT)/.built ## Run the linters, formatters included
	$(LINT)/golangci-lint run

fmt: $(LINT)/.built ## Format the code
	$(LINT)/golangci-lint fmt

tidy-check: ## Check that go.mod and go.sum are tidy
	go mod tidy -diff

vuln: $(VULN)/.built ## Look for known vulnerabilities (asks vuln.go.dev, so it is not part of check)
	$(VULN)/govulncheck ./...

# ---- Releases ---------------------------------------------------------------------------------------------------------------------
.PHONY: release sbom reproducible
# The time of every file in an archive: that of the commit.
EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)

release: sbom ## VERSION=v1.2.3: the programs for Linux on amd64 and arm64, as archives with checksums, in dist/
	SOURCE_DATE_EPOCH=$(EPOCH) go run ./internal/cmd/release -version '$(VERSION)' -out dist -beside bin/sbom

# The tool reads names of versions out of a git repository of its own kind: it gets a copy, tagged with what is built.
sbom: $(SBOM)/.built ## What each program is made of, with licences, as CycloneDX, in bin/sbom
	@rm -rf bin/sbom; mkdir -p bin/sbom
	@src=$$(mktemp -d); trap 'rm -rf "$$src"' EXIT; \
	git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -c | tar -x -C "$$src"; \
	git -C "$$src" init -q; \
	git -C "$$src" -c user.name=sbom -c user.email=sbom@localhost commit -q --allow-empty --date=@$(EPOCH) -m '$(VERSION)'; \
	git -C "$$src" tag '$(VERSION)'; \
	for c in $(COMMANDS); do \
	  CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(SBOM)/cyclonedx-gomod app -json -licenses -packages=false -noserial -main $$c \
	    -output "$$PWD/bin/sbom/$${c##*/}.cdx.json" "$$src"; \
	done

reproducible: ## Build the release twice, in two folders and with empty caches, and compare every byte: 10 minutes and more
	SOURCE_DATE_EPOCH=$(EPOCH) go run ./internal/cmd/release -version '$(VERSION)' -twice

# The tools of tools/NAME, built once per version.
$(CACHE)/tools/%/.built:
	@echo 'building tools/$(firstword $(subst -, ,$*)) into $(@D), once'
	cd tools/$(firstword $(subst -, ,$*)) && GOBIN=$(@D) go install tool
	@touch $@

# ---- Demo and benchmarks ----------------------------------------------------------------------------------------------------------
# run PACKAGE, ARGUMENTS: built first and then run by itself, so that its exit code and its signals are its own.
run = go build -ldflags '$(LDFLAGS)' -o bin/$(notdir $(1)) ./$(1) && bin/$(notdir $(1)) $(2)

ifneq ($(DEMO),)
.PHONY: demo
demo:
	@GOPROXY=off go list -deps $(addprefix ./,$(DEMO) $(COMMANDS)) >/dev/null 2>&1 || echo 'Downloading Go modules, once: about 45 MB.'
	@echo 'Building $(notdir $(COMMANDS) $(DEMO)) into bin/; the first time it takes minutes.'
	@mkdir -p bin
	@go build -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./,$(DEMO) $(COMMANDS))
	@bin/$(notdir $(DEMO)) $(if $(KEEP),-keep)
endif

ifneq ($(BENCHES),)
.PHONY: bench bench-quick $(foreach b,$(notdir $(BENCHES)),bench-$(b) bench-quick-$(b))
bench: $(addprefix bench-,$(notdir $(BENCHES)))
# Benchmarks that run beside each other measure each other, whatever -j says:
ifneq ($(filter bench $(addprefix bench-,$(notdir $(BENCHES))),$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
# What is measured is not what counts here, so they run beside each other.
bench-quick:
	@$(MAKE) -j$(JOBS) -O $(addprefix bench-quick-,$(notdir $(BENCHES)))
define bench_rule
bench-$(notdir $(1)): build
	$$(call run,$(1),$(if $(FULL),-full))
bench-quick-$(notdir $(1)): build
	$$(call run,$(1),-quick)
endef
$(foreach b,$(BENCHES),$(eval $(call bench_rule,$(b))))
endif

ifneq ($(COMPARE),)
.PHONY: bench-compare
bench-compare: build
	$(call run,$(COMPARE),$(A) $(B))
endif

ifneq ($(SOAK),)
.PHONY: soak
soak: build
	$(call run,$(SOAK))
endif
