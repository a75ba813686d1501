# The commands of this repository. `make check` is what a change must pass.
SHELL := /bin/bash
GO ?= go
GOLANGCI ?= golangci-lint
FUZZTIME ?= 20s

.PHONY: check fmt fmt-check lint vet race test build bench interop fuzz record torture mixed apps

check: fmt-check lint vet race

fmt: ## rewrite the sources in the repository's format (gofumpt, gci)
	$(GOLANGCI) fmt ./...

fmt-check:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [[ -n $$out ]]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	@$(GOLANGCI) fmt --diff ./... || { echo "run: make fmt"; exit 1; }

lint:
	$(GOLANGCI) run ./...

vet:
	$(GO) vet ./...

race:
	$(GO) test -race -short ./...

test:
	$(GO) test ./...

build: ## one static binary, bin/quorate
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -o bin/quorate ./cmd/quorate

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Every test against real peers; a missing peer fails.
interop:
	QUORATE_INTEROP=required $(GO) test -count=1 -timeout 20m ./integration/...

# Every fuzz target of the module in turn, FUZZTIME each.
fuzz:
	@set -euo pipefail; \
	for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

# Faults on real processes, again and again, TORTURE long for three members, for five, and for three with an observer.
TORTURE ?= 30m
torture:
	@set -e; for test in TestFaults TestFaultsOfFive TestFaultsBesideObserver; do \
	  QUORATE_INTEROP=required QUORATE_TORTURE=$(TORTURE) $(GO) test -count=1 -timeout 0 -run "^$$test\$$" -v ./integration/faults; \
	done

# Ensembles of Quorate and of every Java release that it is tried with, and the replacement of each, and back.
mixed:
	for v in 3.6.4 3.8.6 3.9.5; do integration/reference/fetch $$v; done
	QUORATE_INTEROP=required QUORATE_MIXED=all $(GO) test -count=1 -p 1 -timeout 3h -v ./integration/mixed ./integration/rolling

# Kafka, ClickHouse and PostgreSQL under Patroni on an ensemble. Needs mvn, and Debian's clickhouse-server,
# clickhouse-client, patroni and postgresql.
apps:
	$(GO) run ./integration/apps

# Make the golden captures of wire/testdata again, from real clients and a real server.
record:
	QUORATE_INTEROP=required QUORATE_RECORD=1 $(GO) test -count=1 -run '^TestRecordGoldenCaptures$$' -v ./integration
