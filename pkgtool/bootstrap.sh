#!/bin/sh
# From a fresh Debian machine to the tools that the Makefile calls.
#
#   pkgtool/bootstrap.sh go      print the path of a Go that can build pkgtool;
#                                on a machine without one, fetch the tool chain
#                                that recipes/seed.lock pins
#   pkgtool/bootstrap.sh test    make sure the reference tools of the tests are there
#   pkgtool/bootstrap.sh bench   make sure what the benchmarks compare with is there
#
# As root it installs missing Debian packages; as an ordinary user it says which
# command an administrator has to run. Messages go to stderr.
set -eu
# Where Debian keeps what an ordinary user's PATH does not name.
PATH=$PATH:/usr/sbin:/sbin

here=$(cd "$(dirname "$0")/.." && pwd)
cache=${ASHLAR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ashlar}

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# install_packages PACKAGE... : installs with apt-get, or says what to install.
install_packages() {
	if [ "$(id -u)" -ne 0 ]; then
		die "missing Debian packages; ask an administrator for: apt-get install --no-install-recommends $*"
	fi
	say "installing Debian packages: $*"
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

# need : reads lines "program package" and installs the packages whose program
# is missing; a program is a name, or the path of a file.
need() {
	missing=
	while read -r command package; do
		[ -e "$command" ] || command -v "$command" >/dev/null || missing="$missing $package"
	done
	[ -z "$missing" ] || install_packages $missing
}

# go_knows_toolchains GO : true for Go 1.21 and later, which fetch the version
# that go.mod asks for by themselves.
go_knows_toolchains() {
	version=$("$1" env GOVERSION 2>/dev/null) || return 1
	minor=${version#go1.}
	minor=${minor%%.*}
	[ "$minor" -ge 21 ] 2>/dev/null
}

find_go() {
	for candidate in "${GO:-}" "$(command -v go || true)" /usr/local/go/bin/go "$cache/go/bin/go"; do
		if [ -n "$candidate" ] && [ -x "$candidate" ] && go_knows_toolchains "$candidate"; then
			printf '%s\n' "$candidate"
			return 0
		fi
	done
	return 1
}

# fetch_go takes the pinned tool chain, a Go module, with Debian's older Go.
fetch_go() {
	module=$(sed -n 's/.*\(golang\.org\/toolchain@[^ ",}]*\).*/\1/p' "$here/recipes/seed.lock" | head -n 1)
	sum=$(sed -n 's/.*\(h1:[A-Za-z0-9+\/=]*\).*/\1/p' "$here/recipes/seed.lock" | head -n 1)
	[ -n "$module" ] && [ -n "$sum" ] || die "recipes/seed.lock names no Go tool chain"
	command -v go >/dev/null || install_packages golang-go ca-certificates
	say "fetching $module"
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/go.XXXXXX")
	trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
	# Outside the project: Go 1.19 does not read our go.mod.
	(cd "$work" && GOPATH=$work GOFLAGS= go mod download -json "$module") >"$work/info.json" ||
		die "cannot fetch $module: $(cat "$work/info.json")"
	grep -qF "\"Sum\": \"$sum\"" "$work/info.json" ||
		die "$module does not have the sum $sum that recipes/seed.lock pins"
	chmod -R u+w "$work/pkg/mod/$module"
	# A module's files carry no executable bit.
	chmod +x "$work/pkg/mod/$module"/bin/* "$work/pkg/mod/$module"/pkg/tool/*/*
	rm -rf "$cache/go"
	mv "$work/pkg/mod/$module" "$cache/go"
}

# A server for S3, in no Debian release; the tests name this version as well.
gateway=github.com/versity/versitygw/cmd/versitygw@v1.8.0

# build_gateway builds it from the module proxy, which Go's sum database vouches
# for: 110 MB and some minutes the first time.
build_gateway() {
	program=$cache/bin/versitygw-${gateway##*@}
	[ ! -x "$program" ] || return 0
	go=$(find_go) || die "no Go; see pkgtool/bootstrap.sh go"
	say "building $gateway"
	mkdir -p "$cache/bin"
	work=$(mktemp -d "$cache/gateway.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && GOBIN=$work CGO_ENABLED=0 "$go" install -trimpath -ldflags '-s -w' "$gateway") >&2 ||
		die "cannot build $gateway"
	mv "$work/versitygw" "$program"
}

# A farm's daemon, in no Debian release either. Its go.mod excludes versions, which
# `go install` refuses: it is built as a dependency of an empty module.
daemon=github.com/moby/buildkit@v0.33.1

build_daemon() {
	program=$cache/bin/buildkitd-${daemon##*@}
	[ ! -x "$program" ] || return 0
	go=$(find_go) || die "no Go; see pkgtool/bootstrap.sh go"
	say "building $daemon"
	mkdir -p "$cache/bin"
	work=$(mktemp -d "$cache/daemon.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(
		cd "$work"
		printf 'module daemon\n\ngo 1.26.0\n\nrequire %s %s\n' "${daemon%@*}" "${daemon##*@}" >go.mod
		CGO_ENABLED=0 GOFLAGS=-mod=mod "$go" build -trimpath -ldflags '-s -w' -o buildkitd "${daemon%@*}/cmd/buildkitd"
	) >&2 || die "cannot build $daemon"
	mv "$work/buildkitd" "$program"
}

case ${1:-} in
go)
	if ! find_go; then
		fetch_go
		find_go || die "the fetched Go in $cache/go does not run"
	fi
	;;
test)
	need <<-TOOLS
		qemu-system-x86_64 qemu-system-x86
		qemu-img qemu-utils
		/usr/share/OVMF/OVMF_CODE_4M.fd ovmf
		/usr/lib/ipxe/qemu/pxe-virtio.rom ipxe-qemu
		ip iproute2
		dnsmasq dnsmasq-base
		xorriso xorriso
		fsck.fat dosfstools
		grub-editenv grub-common
		mtype mtools
		unsquashfs squashfs-tools
		e2fsck e2fsprogs
		mkfs.xfs xfsprogs
		cryptsetup cryptsetup-bin
		swtpm swtpm
		tpm2_unseal tpm2-tools
		/usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0 libtss2-tcti-swtpm0
		/usr/lib/x86_64-linux-gnu/libtss2-esys.so.0 libtss2-esys-3.0.2-0
		/usr/lib/x86_64-linux-gnu/libtss2-rc.so.0 libtss2-rc0
		/usr/lib/x86_64-linux-gnu/libtss2-mu.so.0 libtss2-mu0
		systemd-cryptenroll systemd
		efibootmgr efibootmgr
		diff3 diffutils
		zstd zstd
		xz xz-utils
		cpio cpio
		as binutils
		gcc gcc
		patch patch
		abidiff abigail-tools
		busybox busybox
		losetup mount
		dash dash
		partx util-linux
		setcap libcap2-bin
		setpriv util-linux
		unshare util-linux
		gpg gnupg
		gpgv gpgv
		sbverify sbsigntool
		sig-list-to-certs efitools
		/usr/lib/shim/shimx64.efi shim-unsigned
		ssh openssh-client
		ssh-keygen openssh-client
		openssl openssl
		patch patch
		git git
		dose-debcheck dose-distcheck
		docker-registry docker-registry
		skopeo skopeo
		runc runc
		nginx nginx-light
		curl curl
		tar tar
		chromium-headless-shell chromium-headless-shell
		/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
		tidy tidy
		w3m w3m
	TOOLS
	build_gateway
	build_daemon
	;;
bench)
	need <<-TOOLS
		zstd zstd
		tar tar
		mkfs.ext4 e2fsprogs
		losetup mount
		dpkg-deb dpkg
		rpmbuild rpm
		pacman pacman-package-manager
		createrepo_c createrepo-c
		apt-ftparchive apt-utils
		/usr/share/makepkg/util/compress.sh makepkg
		bsdtar libarchive-tools
		dose-debcheck dose-distcheck
		nginx nginx-light
		wrk wrk
		testsolv libsolv-tools
		mksquashfs squashfs-tools
		xorriso xorriso
	TOOLS
	;;
*)
	sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
