# Every target says what it does: `make help`.
GO       ?= go
PREFIX   ?= /usr/local
SBIN     ?= /sbin
DURATION ?= 10m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GUEST    := guest/payload/bin/agent
HOST     := bin/instarfs
# The guest must come out the same wherever it is built: no paths, no build id, no version control.
# What is built is for this machine, or for GOARCH: amd64 or arm64.
GOARCH   ?= $(shell $(GO) env GOARCH)
export GOARCH
GUESTENV := CGO_ENABLED=0 GOOS=linux GOAMD64=v1 GOFLAGS=
# -E is the first code of the guest program: guest/process/confine_unsafe.go.
GUESTOPT := -trimpath -buildvcs=false -ldflags='-s -w -buildid= -E instarfs/guest/process.entry'
# The first code of the host program, where it has one of its own: cmd/instarfs/addresses.go.
ENTRY_amd64 := -E main.entry

.PHONY: deb check-deb check-systemd all help guest host manual demo test check check-kvm-amd check-arm64 bench fuzz soak install uninstall clean deps

all: guest host ## build the map guest, then instarfs, into bin/ (the default)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

guest: ## build the map guest that the host program carries
	@$(GUESTENV) $(GO) build $(GUESTOPT) -o $(GUEST) ./guest/agent

host: guest ## build instarfs
	@mkdir -p bin
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-X main.version=$(VERSION) -X instarfs/guest/payload.digest='$$(sha256sum $(GUEST) | cut -d ' ' -f 1)' $(ENTRY_$(GOARCH))' -o $(HOST) ./cmd/instarfs

demo: deps all ## make sample images, mount them, look at their maps, unmount
	@./.ci/demo

test: deps all ## run every test; whatever is missing is a failure, not a skip
	@./.ci/test

check: guest ## gofmt, vet, staticcheck, go mod tidy, and the guest built twice
	@./.ci/check

check-kvm-amd: deps all ## run vmm's tests and map samples on a kvm_amd that QEMU emulates (Debian, some minutes)
	@./.ci/kvm-amd

check-arm64: ## build for arm64, and map samples in an emulated arm64 machine (Debian, some minutes)
	@./.ci/arm64

bench: deps all ## compare with qemu-img on this machine and write docs/benchmarks.md
	@$(GO) run ./cmd/bench -instarfs $(HOST) -o docs/benchmarks.md

fuzz: deps guest ## fuzz for a while: FUZZTIME=1m for each target, DIFF=5000 random images against three releases of qemu-img
	@./.ci/fuzz

soak: deps all ## keep a mount under load for DURATION (10m) as root, and count what goes wrong or grows
	@$(GO) run ./cmd/soak -instarfs $(HOST) -duration $(DURATION)

manual: all ## make the manual pages and the completions of shells, in bin/manual
	@$(GO) run -tags manual ./cmd/instarfs bin/manual

install: all manual ## install instarfs below PREFIX (/usr/local), and a helper for mount(8), which looks in /sbin only
	install -D -m 755 $(HOST) $(DESTDIR)$(PREFIX)/bin/instarfs
	install -d $(DESTDIR)$(SBIN)
	ln -sf $(PREFIX)/bin/instarfs $(DESTDIR)$(SBIN)/mount.instarfs
	for s in 1 8; do install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$$s bin/manual/man/*.$$s; done
	install -D -m 644 bin/manual/completions/instarfs.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/instarfs
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions bin/manual/completions/_instarfs
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d bin/manual/completions/instarfs.fish

uninstall: ## remove what install installed
	rm -f $(DESTDIR)$(PREFIX)/bin/instarfs $(DESTDIR)$(SBIN)/mount.instarfs
	cd $(DESTDIR)$(PREFIX)/share && rm -f man/man[18]/instarfs.1 man/man[18]/instarfs-*.[18] man/man8/mount.instarfs.8 \
	  bash-completion/completions/instarfs zsh/site-functions/_instarfs fish/vendor_completions.d/instarfs.fish

deb: all manual ## build the Debian package, its SHA-256 sum and its SBOM, in bin/deb
	@./.ci/deb

check-deb: deb ## install, use, upgrade, remove and purge the package in a fresh Debian without Go (root)
	@./.ci/check-deb

check-systemd: deb ## boot a fresh Debian with the package: the service, its restrictions, a line of fstab, a mount unit (root)
	@./.ci/check-systemd

clean: ## remove what was built
	rm -rf bin $(GUEST)

deps: ## install (as root) or name the packages that demo and test need
	@./.ci/deps
