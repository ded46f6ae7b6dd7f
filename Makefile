# Tools are pinned here and nowhere else; they are built into .tmp/bin.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
APIDIFF_VERSION := v0.0.0-20261113113407-e3970619a1a4
# The newest release of Go. The oldest that works stands in go.mod.
GO_NEWEST := go1.27.3

BIN := $(CURDIR)/.tmp/bin
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOVULNCHECK := $(BIN)/govulncheck-$(GOVULNCHECK_VERSION)
APIDIFF := $(BIN)/apidiff-$(APIDIFF_VERSION)
MODULES := . $(patsubst %/go.mod,%,$(wildcard */go.mod */*/go.mod */*/*/go.mod))

.PHONY: help test race lint vuln api fuzz bench tidy shop test-browser test-db test-newest ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

test: ## run the tests
	go test ./...

race: ## run the tests in random order under the race detector
	go test -race -shuffle=on $(GOTESTFLAGS) ./...

lint: $(GOLANGCI_LINT) ## run the linters
	$(GOLANGCI_LINT) run ./...

vuln: $(GOVULNCHECK) ## look for known vulnerabilities in what is called
	$(GOVULNCHECK) ./...

api: $(APIDIFF) ## compare the exported names with the last release's
	.ci/api $(APIDIFF)

fuzz: ## fuzz every target for FUZZTIME each (20s)
	.ci/fuzz

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

tidy: ## format, and tidy every module
	gofmt -w .
	for m in $(MODULES); do go -C $$m mod tidy || exit 1; done

shop: ## run the example shop and open the address that it prints
	go run ./examples/shop

test-browser: ## drive the example shop in headless Chromium
	go -C browsertest test -count=1 -v ./...

test-db: ## run the stores on database servers, the crash harness, a short soak
	go -C dbtest test -race -count=1 -timeout 20m -v $$(go -C dbtest list ./... | grep -v /crash$$)
	go -C dbtest test -count=1 -v ./crash

test-newest: ## run the tests on the newest release of Go
	GOTOOLCHAIN=$(GO_NEWEST) go test $$(go list ./... | grep -v /hostiletest)

ci: ## run everything that CI runs
	.ci/run

$(GOLANGCI_LINT):
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

$(GOVULNCHECK):
	GOBIN=$(BIN) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(BIN)/govulncheck $@

$(APIDIFF):
	GOBIN=$(BIN) go install golang.org/x/exp/cmd/apidiff@$(APIDIFF_VERSION)
	mv $(BIN)/apidiff $@
