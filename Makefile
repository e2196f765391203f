# Ashlar: two commands do everything.
#
#   make iso    build every package of the image from source, publish them as a
#               repository in build/repo, assemble build/ashlar-minimal.iso
#   make test   all tests, the whole-system ones included (they need the ISO)
#
#   make build/pkgtool-objects  what lets build/pkgtool publish to object storage
#   make build/pkgtool-buildkit  what lets it build on a farm of BuildKit daemons
#
#   make boot   start the ISO in QEMU on this terminal
#   make unit   the tests that need neither the ISO nor the network
#   make bench  pkgtool beside its rivals: one table, and build/bench/results.json
#   make bench-install   one group of it; tests/bench/README.md names them
#   make bench-go        the benchmarks of the Go packages
#   make selfhost  build everything again without Debian's tool chain, on the packages of
#               the first build alone, and say what came out equal (hours)
#   make crash  kill transactions at every system call, and cut the power (root)
#   make test-server  build the server image, boot it on every controller and network
#               card that QEMU has, and go through its 48 baseline checks; build the image
#               host, run guests and a container on it, move a guest (an hour and a half)
#   make test-install  every layout of the installer with both firmwares, over HTTP and
#               from the medium (an hour and a half)
#   make test-life  updates that do not start, the boot menu, full disks, a mirror that
#               turns hostile (10 minutes)
#   make test-powercut  cut the power of installed machines at 200 random moments of an
#               upgrade (two hours; ASHLAR_POWERCUTS=20 for fewer)
#   make clean  remove build/ (the cache in ~/.cache/ashlar stays)

IMAGE ?= minimal
# Sets the shell variable go; the recipe stops if there is none to be had.
FIND_GO = go=$$(pkgtool/bootstrap.sh go)

export CGO_ENABLED = 0
# fsck.fat, losetup and others judge our formats, also for an ordinary user.
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help iso test unit bench bench-go selfhost crash boot clean test-server test-install test-life test-powercut build/pkgtool build/pkgtool-objects build/pkgtool-buildkit

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

build/pkgtool:
	@mkdir -p build
	@$(FIND_GO) && $$go build -trimpath -buildvcs=false -ldflags '-s -w' -o build/pkgtool ./pkgtool

# What pkgtool hands s3:// and the like over to.
build/pkgtool-objects: build/pkgtool
	@$(FIND_GO) && $$go build -trimpath -buildvcs=false -ldflags '-s -w' -o build/pkgtool-objects ./pkgtool/objects

# What pkgtool hands builds on a farm over to.
build/pkgtool-buildkit: build/pkgtool
	@$(FIND_GO) && $$go build -trimpath -buildvcs=false -ldflags '-s -w' -o build/pkgtool-buildkit ./pkgtool/farm

iso: build/pkgtool
	@build/pkgtool image build $(IMAGE) --recipes recipes --out build

test: iso
	@pkgtool/bootstrap.sh test
	@build/pkgtool image build $(IMAGE) --recipes recipes --out build --format netboot
	@build/pkgtool image build disk --images tests/boot/testdata --recipes recipes --out build
	@$(FIND_GO) && $$go vet ./...
	@$(FIND_GO) && ASHLAR_TEST_NETWORK=1 ASHLAR_ISO=$(CURDIR)/build/ashlar-$(IMAGE).iso ASHLAR_NETBOOT=$(CURDIR)/build/ashlar-$(IMAGE).netboot.tar ASHLAR_REPO=$(CURDIR)/build/repo \
		ASHLAR_DISKS=$(CURDIR)/build $$go test -count=1 -timeout 60m ./...

# The server image, booted and looked at from inside and outside.
test-server: build/pkgtool
	@pkgtool/bootstrap.sh test
	@build/pkgtool image build server --format iso,qcow2 --recipes recipes --out build
	@build/pkgtool image build host --format raw --recipes recipes --out build
	@build/pkgtool image build container --recipes recipes --out build
	@build/pkgtool image build minimal --recipes recipes --out build
	@$(FIND_GO) && ASHLAR_TEST_SERVER=1 $$go test -count=1 -v -timeout 180m ./tests/server

unit:
	@pkgtool/bootstrap.sh test
	@$(FIND_GO) && $$go test -short -timeout 20m ./...

bench: build/pkgtool
	@pkgtool/bootstrap.sh bench
	@$(FIND_GO) && $$go build -o build/bench/bench ./tests/bench && build/bench/bench

bench-go:
	@$(FIND_GO) && $$go test -run '^$$' -bench . -benchtime 1s ./...

bench-%: build/pkgtool
	@pkgtool/bootstrap.sh bench
	@$(FIND_GO) && $$go build -o build/bench/bench ./tests/bench && build/bench/bench $*

selfhost: build/pkgtool
	@build/pkgtool build selfhost --recipes recipes

crash:
	@pkgtool/bootstrap.sh test
	@$(FIND_GO) && ASHLAR_CRASH=all $$go test -count=1 -timeout 120m -v ./tests/crash/...

test-install: iso
	@pkgtool/bootstrap.sh test
	@build/pkgtool image build install --images tests/boot/testdata --recipes recipes --out build/install
	@$(FIND_GO) && ASHLAR_TEST_INSTALL=1 ASHLAR_ISO=$(CURDIR)/build/ashlar-$(IMAGE).iso ASHLAR_INSTALL_ISO=$(CURDIR)/build/install/ashlar-install.iso ASHLAR_REPO=$(CURDIR)/build/repo \
		$$go test -count=1 -timeout 180m -v -run 'TestInstallMatrix|TestInstalledOnLayers' ./tests/boot

test-life: iso
	@pkgtool/bootstrap.sh test
	@build/pkgtool image build disk --images tests/boot/testdata --recipes recipes --out build
	@$(FIND_GO) && ASHLAR_TEST_LIFE=1 ASHLAR_DISKS=$(CURDIR)/build ASHLAR_REPO=$(CURDIR)/build/repo \
		$$go test -count=1 -timeout 60m -v -run 'TestBadUpdatesComeBack|TestAutomaticUpdateHoldsBack|TestBootMenu|TestFullDisk|TestMirrorForTwoMachines|TestSecureBootBindsTheTPM' ./tests/boot

test-powercut: iso
	@pkgtool/bootstrap.sh test
	@$(FIND_GO) && ASHLAR_POWERCUTS=$${ASHLAR_POWERCUTS:-200} ASHLAR_ISO=$(CURDIR)/build/ashlar-$(IMAGE).iso ASHLAR_REPO=$(CURDIR)/build/repo \
		$$go test -count=1 -timeout 300m -v -run TestPowerCuts ./tests/boot

boot: iso
	@build/pkgtool boot build/ashlar-$(IMAGE).iso

clean:
	rm -rf build
