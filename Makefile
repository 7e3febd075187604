# OneCard. `make help` lists the targets.

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# DATABASE points `make run` at PostgreSQL: make run DATABASE=postgres://user@host/name
DATABASE ?=
# READER=system uses the machine's own pcscd and a real reader.
READER ?= virtual

.PHONY: help run test build lint generate fmt clean packages-run packages-test

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: packages-run build ## the main job: issue a card end to end and stay up with the web page
	@ONECARD_DATABASE='$(DATABASE)' bin/onecard run --reader $(READER)

test: packages-test build ## all tests, with the race detector, on real readers, databases and browser
	$(GO) test -race -timeout 20m ./...
	$(GO) test -timeout 20m -run '^TestTear' ./card

build: ## the programs, into bin/
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -o bin/onecard ./cmd/onecard
	CGO_ENABLED=1 $(GO) build -o bin/counter ./cmd/counter
	CGO_ENABLED=1 $(GO) build -o bin/keeper ./cmd/keeper
	CGO_ENABLED=0 $(GO) build -o bin/cardsim ./cmd/cardsim
	CGO_ENABLED=0 $(GO) build -o bin/partnersim ./cmd/partnersim

lint: packages-run ## go vet, staticcheck, formatting, generated code
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "run: make fmt" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

generate: ## code generated from api/openapi.yaml
	$(GO) generate ./...

fmt: ## format the source
	gofmt -w .

clean: ## remove the programs and the trial data
	rm -rf bin data

packages-run:
	@.ci/packages run

packages-test:
	@.ci/packages test
