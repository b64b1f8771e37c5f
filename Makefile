# `make` alone lists the targets. Each installs what it needs and is missing (Debian, Ubuntu); a second run is quick.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/build/bin:$(PATH):/usr/sbin
export CERTSIGN_BIN := $(CURDIR)/build/bin

STEP_CA := v0.30.2
STATICCHECK := v0.6.1

COUNT ?= 200
TIME ?= 60s
CORPUS ?= ../shared/corpus

TOOLS_DEMO := chromium=chromium openssl=openssl xmlsec1=xmlsec1 pdftotext=poppler-utils softhsm2-util=softhsm2 \
  pkcs11-tool=opensc Xvfb=xvfb xdotool=xdotool pinentry-gtk-2=pinentry-gtk2 import=imagemagick gcc=gcc \
  /usr/include/stdio.h=libc6-dev \
  '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf=fonts-dejavu-core' \
  '/usr/lib/x86_64-linux-gnu/libxmlsec1-openssl.so* /usr/lib/aarch64-linux-gnu/libxmlsec1-openssl.so*=libxmlsec1-openssl'
TOOLS_TEST := $(TOOLS_DEMO) firefox-esr=firefox-esr xmllint=libxml2-utils '/usr/lib/postgresql/*/bin/postgres=postgresql' \
  x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64-win32 i686-w64-mingw32-gcc=gcc-mingw-w64-i686-win32 pinentry-tty=pinentry-tty pinentry-curses=pinentry-curses zenity=zenity \
  runuser=util-linux setpriv=util-linux curl=curl keytool=default-jre-headless wine=wine \
  certutil=libnss3-tools pk12util=libnss3-tools '/usr/lib/x86_64-linux-gnu/libsoftokn3.so /usr/lib/aarch64-linux-gnu/libsoftokn3.so=libnss3' \
  swtpm=swtpm tpm2-abrmd=tpm2-abrmd tpm2_getcap=tpm2-tools tpm2_ptool=libtpm2-pkcs11-tools dbus-daemon=dbus-daemon \
  '/usr/lib/*/pkcs11/libtpm2_pkcs11.so=libtpm2-pkcs11-1' '/usr/lib/*/libtss2-tcti-tabrmd.so.0=libtss2-tcti-tabrmd0'

# One package at a time: they share one Windows store.
WINE := CERTSIGN_WINDOWS=$(CURDIR)/build/wine-pkcs11 CGO_ENABLED=0 GOOS=windows go test -vet=off -p 1 -timeout 20m -exec $(CURDIR)/.ci/wine

.PHONY: help build demo run test test-here test-beside test-windows test-wine lint lint-windows static bench conformance fuzz soak screens package vectors windows darwin arm64 cross clean tools-demo tools-test node-demo node-test

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

build: ## certsign, certsign-pkcs11 and customs-ca in build/bin
	@mkdir -p build/bin
	@[ -d "$$(go env GOMODCACHE)/cache/download/github.com/smallstep" ] || echo "The first build downloads Go modules (200 MB) and unpacks them (1 GB)"
	CGO_ENABLED=0 go build -o build/bin/certsign ./agent/cmd/certsign
	go build -o build/bin/certsign-pkcs11 ./agent/cmd/certsign-pkcs11
	CGO_ENABLED=0 go build -o build/bin/customs-ca ./ca/cmd/customs-ca

tools-demo:
	@mkdir -p build/bin
	@.ci/need "The demo" go node npm $(TOOLS_DEMO)

tools-test:
	@mkdir -p build/bin
	@.ci/need "The tests" go node npm $(TOOLS_TEST)

# npm installs what a lock file names, without the browsers that the drivers would fetch.
NPM_CI := PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 PUPPETEER_SKIP_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error

node-demo: build/npm-demo.stamp
build/npm-demo.stamp: testdata/e2e/package-lock.json
	@echo "The demo installs Chromium's driver with npm (14 MB)"
	@cd testdata/e2e && $(NPM_CI) --omit=dev
	@touch $@

node-test: build/npm-test.stamp
build/npm-test.stamp: testdata/e2e/package-lock.json bridge-js/package-lock.json
	@echo "The tests install the browsers' drivers, TypeScript and vitest with npm (170 MB)"
	@cd testdata/e2e && $(NPM_CI)
	@cd bridge-js && $(NPM_CI)
	@touch $@ build/npm-demo.stamp

demo: tools-demo node-demo build ## the whole main job in a headless browser, each step checked; results in build/demo
	node testdata/e2e/demo.mjs

run: tools-demo node-demo build ## CA, portal and agent on this computer, kept running, with seeded accounts
	node testdata/e2e/demo.mjs --keep

build/bin/step-ca:
	@mkdir -p build/bin
	GOBIN=$(CURDIR)/build/bin CGO_ENABLED=0 go install github.com/smallstep/certificates/cmd/step-ca@$(STEP_CA)

build/bin/staticcheck:
	@mkdir -p build/bin
	GOBIN=$(CURDIR)/build/bin go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK)

# What only computes leaves the processors to the tests beside it, which mostly wait.
CALM := nice -n 19

# All packages but the one that needs cgo: without cgo they share what `build` has compiled.
PURE = $$(go list ./... | grep -v certsign-pkcs11)
AGENT = $$(go list ./agent/... | grep -v certsign-pkcs11)

lint: static lint-windows ## gofmt, go vet, staticcheck, tsc
	CGO_ENABLED=0 go vet $(PURE)
	go vet ./agent/cmd/certsign-pkcs11
	GOOS=windows CGO_ENABLED=0 go vet $(AGENT)
	staticcheck ./agent/cmd/certsign-pkcs11

lint-windows: build/bin/staticcheck
	GOOS=windows CGO_ENABLED=0 $(CALM) staticcheck -tests=false $(AGENT)

static: node-test build/bin/staticcheck # what needs neither a C compiler nor what the tests compile
	@test -z "$$(git ls-files '*.go' | xargs gofmt -l | tee /dev/stderr)"
	cd bridge-js && npm run --silent lint
	CGO_ENABLED=0 $(CALM) staticcheck $(PURE)

windows: ## the programs for Windows
	@mkdir -p build/windows
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -o build/windows/certsign.exe ./agent/cmd/certsign
	CGO_ENABLED=1 GOOS=windows GOARCH=amd64 CC=x86_64-w64-mingw32-gcc go build -o build/windows/certsign-pkcs11.exe ./agent/cmd/certsign-pkcs11
	CGO_ENABLED=1 GOOS=windows GOARCH=386 CC=i686-w64-mingw32-gcc go build -o build/windows/certsign-pkcs11-32.exe ./agent/cmd/certsign-pkcs11

cross: windows darwin arm64 ## the programs for Windows, and that certsign builds for other systems without cgo

darwin:
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(CALM) $(THROWN) ./agent/cmd/certsign

arm64:
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(CALM) $(THROWN) ./agent/cmd/certsign

# What is built and thrown away is not optimized.
THROWN := go build -gcflags='all=-N -l' -o /dev/null

test: ## everything that must be green
	@$(MAKE) --no-print-directory --jobs 3 test-here test-beside lint-windows arm64
	node testdata/e2e/demo.mjs --windows

test-here: tools-test node-test build/bin/step-ca # the longest first; go vet is a part of it
	@$(MAKE) --no-print-directory build
	go test -race -vet=all -p 3 -timeout 20m ./internal/soak ./...
	cd bridge-js && npm run --silent test
	node testdata/e2e/demo.mjs
	node testdata/e2e/demo.mjs --keyboard
	cd testdata/e2e && node --test

test-beside: static tools-test # static is at work while Debian's packages come
	$(CALM) $(MAKE) --no-print-directory windows darwin
	$(CALM) staticcheck ./agent/cmd/certsign-pkcs11
	GOOS=windows CGO_ENABLED=0 $(CALM) go vet $(AGENT)
	$(MAKE) --no-print-directory test-wine

test-windows: test-wine ## the Windows build under Wine: its key stores, and a page's whole journey
	node testdata/e2e/demo.mjs --windows

test-wine: windows
	testdata/pkcs11/build build/wine-pkcs11
	$(WINE) ./agent/keystore/csp ./agent/keystore/keyfile ./agent/home ./agent/transport/ws ./agent/prompt/pin ./agent/prompt/child ./internal/pfx
	$(WINE) -run 'CSP|TestKeyfileStore|TestPKCS11Windows|SelfTest|WindowsStore' ./agent ./agent/cmd/certsign
	.ci/wine --end

bench: tools-test build ## ours beside the peer's, in one run, to build/bench.json; then the rates of single parts
	rm -f build/bench.json
	CERTSIGN_BENCH=$(CURDIR)/build/bench.json go test -count 1 -p 1 -v -run 'Rates|Quickly' ./agent/...
	go test -run '^$$' -bench . -benchtime 2s ./internal/... ./ca/... ./agent/...

conformance: ## the corpora in CORPUS=DIR
	CERTSIGN_CORPUS=$(abspath $(CORPUS)) go test -count 1 -run 'OtherProjects|PKITS|Wycheproof|RealCertificates' -v ./internal/...

fuzz: ## each fuzz target for TIME (60s)
	@for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep ^Fuzz || true); do \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(TIME) -fuzzminimizetime 10x $$p; done; done

soak: tools-test build ## kill -9 of agent and CA at every step of an enrolment, COUNT (200) times; 1,000 documents beside another program's signatures
	CERTSIGN_SOAK=$(COUNT) go test -count 1 -timeout 3h -v ./internal/soak
	CERTSIGN_SOAK=$(COUNT) go test -count 1 -timeout 3h -v -run 'TestPKCS11Tokens/TestAnotherProgram|TestOtherProgramsUseTheKeyFiles' ./agent

screens: tools-demo node-demo build ## a picture of every page and window, in Polish and English, to build/screens
	node testdata/e2e/demo.mjs --screens

package: export GOFLAGS := -trimpath
package: build windows ## the programs as archives for Linux and Windows, in build/package
	rm -rf build/package && mkdir -p build/package
	tar -C build/bin --transform 's,^,certsign/,' -czf build/package/certsign-linux-$$(go env GOARCH).tar.gz certsign certsign-pkcs11 -C $(CURDIR) README.md LICENSE
	tar -C build/bin --transform 's,^,customs-ca/,' -czf build/package/customs-ca-linux-$$(go env GOARCH).tar.gz customs-ca -C $(CURDIR) README.md LICENSE
	tar -C build/windows --transform 's,^,certsign/,' -czf build/package/certsign-windows-amd64.tar.gz certsign.exe certsign-pkcs11.exe certsign-pkcs11-32.exe -C $(CURDIR) README.md LICENSE
	@ls -l build/package

vectors: ## what is generated: the catalogue of errors for TypeScript and the library's README
	go generate ./...

clean: ## remove what was built
	rm -rf build bridge-js/dist bridge-js/node_modules testdata/e2e/node_modules
