# Entry points. `make test` is all that CI runs; `make demo` is the two-minute tour.
# Everything is built in one profile and one target directory outside the checkout.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mednerd/target
export PATH := $(HOME)/.cargo/bin:$(PATH)

# What `--version` and answers say beside the release's number; the packages' revision.
export MEDNERD_REVISION := $(shell packaging/scripts/revision.sh)

CARGO := cargo
RELEASE := --release --locked
BIN := $(CARGO_TARGET_DIR)/release

.PHONY: help setup build bin-dir demo test kit-test sanitize fuzz lint kernels worker cuda unit bench soak deny deb appliance-test roots-test

help:
	@sed -n 's/^## //p' Makefile

## make demo        build, start mednerd on a private socket, annotate a sample note, stop
demo: build
	@packaging/scripts/demo.sh $(BIN)

## make test        everything that CI runs: format, lints, documentation, every test that needs no GPU
test: setup lint worker unit

## make build       release binaries for the CPU, and the plugins in the tree
build: setup
	$(CARGO) build $(RELEASE) --workspace

## make -s bin-dir  the folder that holds the binaries
bin-dir:
	@echo $(BIN)

## make lint        format, clippy and documentation, warnings denied
lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(RELEASE) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(RELEASE) --workspace --no-deps --lib

## make unit        unit, property, golden and end-to-end tests
unit: build
	MEDNERD_BIN_DIR=$(BIN) $(CARGO) test $(RELEASE) --workspace

# The GPU worker with its kernels, for the tests that run it on an emulated driver; without nvcc they are skipped.
worker: setup
	@packaging/scripts/cuda.sh worker $(CARGO_TARGET_DIR)

## make kernels     compiles the GPU kernels for every chip with nvcc, which it fetches; no GPU needed
kernels: setup
	@packaging/scripts/cuda.sh kernels $(CARGO_TARGET_DIR)

## make cuda        the GPU worker mednerd-cuda, which make deb packages then; prints its folder (fetches nvcc; minutes)
cuda: setup
	@folder=$$(packaging/scripts/cuda.sh build $(CARGO_TARGET_DIR)) && install -D -m 755 -t $(BIN) "$$folder/mednerd-cuda"
	@echo $(BIN)

## make bench       side by side with ONNX Runtime on this machine; prints a table (needs Python 3)
bench: build
	$(CARGO) build $(RELEASE) --package mednerd-engine-tract --examples
	tests/bench/run.sh $(BIN)

## make soak        100,000 requests of random length; prints the resident memory on the way
soak: build
	tests/bench/soak.py --bin $(BIN)

# Not on a toolchain of its own: the flag asks for RUSTC_BOOTSTRAP, and the runtime is in the stable one.
## make sanitize    the code with pointers of its own, CPU kernels and mapped vocabulary, under AddressSanitizer (minutes)
sanitize: setup
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/sanitize $(CARGO) test $(RELEASE) \
		--target x86_64-unknown-linux-gnu --package mednerd-sanitize --package mednerd-umls --lib --tests

# A workspace of its own, which `make test` neither builds nor lints: all below it would be compiled twice more.
## make fuzz        what takes bytes from outside, under libFuzzer (minutes). TARGET=note, or several; SECONDS=60 for each
fuzz: setup
	tests/fuzz/run.sh '$(or $(TARGET),all)' '$(or $(SECONDS),60)'

## make kit-test    the training kit, from data to a served adapter, on a tiny model (minutes; makes a Python environment)
kit-test: build
	@packaging/scripts/setup.sh python3-venv
	@sdk/python/tests/run.sh $(BIN) $(CARGO_TARGET_DIR)/kit-venv

## make deb         the Debian packages; prints where they are. PLUGIN_KEY=FILE signs the plugins
deb: build
	@packaging/scripts/setup.sh debhelper dh-apparmor
	@packaging/scripts/deb.sh $(CARGO_TARGET_DIR)

## make appliance-test  install, kill, upgrade under load, fill the disk, purge: in Debian under systemd (needs root)
appliance-test: build
	@packaging/scripts/setup.sh debhelper dh-apparmor e2fsprogs lintian mmdebstrap systemd-container util-linux
	@packaging/scripts/appliance-test.sh $(CARGO_TARGET_DIR)

# Not mednerd-cuda, whose CUDA libraries come from NVIDIA's repository.
## make roots-test  install the packages in bare roots of Debian 12 and 13 and Ubuntu 22.04 and 24.04 (needs root)
roots-test: build
	@packaging/scripts/setup.sh debhelper dh-apparmor mmdebstrap
	@tests/appliance/roots.sh $$(packaging/scripts/deb.sh $(CARGO_TARGET_DIR) | grep -v 'dbgsym\|mednerd-cuda')

## make deny        licences, sources, bans and advisories of all dependencies (needs cargo-deny 0.20 or later and its network)
# One configuration for three workspaces: none has all that it allows.
deny: DENY = --config deny.toml check -A license-exception-not-encountered -A license-not-encountered
deny:
	$(CARGO) deny --locked $(DENY)
	$(CARGO) deny --locked --manifest-path daemon/engine-cuda/Cargo.toml $(DENY)
	$(CARGO) deny --locked --manifest-path tests/fuzz/Cargo.toml $(DENY)

## make setup       install what is missing: Debian packages, a Rust toolchain
setup:
	@packaging/scripts/setup.sh
