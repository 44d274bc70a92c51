# Integration Hub. `make help` lists what can be made.

export CGO_ENABLED = 1# the grammars of the analyzer are C

LDFLAGS := -s -w
ifeq ($(shell uname -s),Linux)
# Static: what would load C libraries at run time is left to Go.
TAGS := netgo,osusergo
LDFLAGS += -linkmode external -extldflags -static
endif
# Go stamps the commit into the binaries, and fails where git refuses to tell it.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)
GO_BUILD := go build -trimpath -buildvcs=$(BUILDVCS) -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o bin/

comma := ,

FUZZTIME ?= 30s

.PHONY: help install build run test chaos lint fuzz bench-queue clean

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile

install: ## install what is missing: git, a C compiler, Postgres
	@scripts/install

build: install ## build the binaries in bin/, static on Linux
	$(GO_BUILD) ./cmd/...

run: install ## find and mend the faults of examples/shop
	@$(GO_BUILD) ./cmd/hub
	@bin/hub run examples/shop

test: install ## run every test
	@go run ./internal/hubtest/testdb -- scripts/test

chaos: install ## kill, stop, wipe and repeat under load; HUB_CHAOS_SEED replays
	go test ./internal/chaos -count=1 -v -timeout 60m -chaos=full

lint: install ## check what needs no run: vet, gofmt, go.mod
	go vet ./...
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' ':!*/testdata/*')) && \
		test -z "$$unformatted" || { echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; }
	go mod tidy -diff

fuzz: install ## run every fuzz test for FUZZTIME (30s)
	@scripts/fuzz $(FUZZTIME)

bench-queue: ## measure the engine beside other job systems; PEERS=all takes every one
	@scripts/install redis
	@bench/run.sh -runs 3 -only "$(if $(filter all,$(PEERS)),,hub$(comma)cooldown 2ms$(comma)aof always$(comma)sync always$(comma)every 2s)"
	@bench/run.sh -runs 3 -road 5000

clean: ## remove what was built
	rm -rf bin
