#!/usr/bin/env bash
# Installs what Holdfast needs: Debian packages by apt, and the libraries that no distribution
# builds the way Holdfast needs them, from pinned sources, static, into a cache prefix outside the
# tree.
#
# The prefix is named by this script's own content: a changed version or flag gets a new prefix, and
# an unchanged one is never built again, whatever happens to the clone. Each part is staged in a
# temporary folder, copied, then stamped; a run that was interrupted starts that part over.
set -euo pipefail

script=$(realpath "${BASH_SOURCE[0]}")
cache=$(realpath -m "${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}")
key=$(sha256sum "$script")
prefix=$cache/deps-${key:0:16}

usage() {
    cat <<'END'
usage: deploy/deps.sh [--tests | --prefix | --help]
  (none)    install everything that building and running Holdfast takes
  --tests   also what its tests take, among it the test peers on mbedTLS and wolfSSL
  --prefix  print where the libraries built from source are or would be; changes nothing

HOLDFAST_SOURCES  folder with the source archives, looked into before the network
HOLDFAST_CACHE    where prefixes and downloads live (default: ~/.cache/holdfast)
END
}

die() {
    printf 'deps.sh: %s\n' "$*" >&2
    exit 1
}

# --- what is needed -----------------------------------------------------------------------------

packages=(
    build-essential cmake ninja-build pkg-config autoconf automake libtool bzip2
    ca-certificates curl
    libssl-dev libmicrohttpd-dev libcurl4-openssl-dev libjansson-dev libcbor-dev liblmdb-dev
)
test_packages=(
    libcriterion-dev redis-server nftables conntrack iproute2 procps
    clang libclang-rt-14-dev clang-tidy clang-format
    jq openssl python3 valgrind
)

libraries=(wolfssl liburing hiredis libcoap)
peers=(peers_mbedtls peers_wolfssl)

# Which archives a part is built from.
declare -A archives_of=(
    [wolfssl]=wolfssl [liburing]=liburing [hiredis]=hiredis [libcoap]=libcoap
    [peers_mbedtls]='mbedtls libcoap' [peers_wolfssl]='wolfssl libcoap'
)

# Debian's name of the archive, which a folder of sources and `apt-get source` use.
declare -A file=(
    [wolfssl]=wolfssl_5.9.2.orig.tar.gz
    [liburing]=liburing_2.9.orig.tar.gz
    [hiredis]=hiredis_1.2.0.orig.tar.gz
    [libcoap]=libcoap3_4.3.5.orig.tar.bz2
    [mbedtls]=mbedtls_3.6.6.orig.tar.bz2
)

# Upstream releases. libcoap has none here: the pinned archive is as Debian packed it.
mbedtls_releases=https://github.com/Mbed-TLS/mbedtls/releases/download
declare -A upstream=(
    [wolfssl]=https://github.com/wolfSSL/wolfssl/archive/refs/tags/v5.9.2-stable.tar.gz
    [liburing]=https://github.com/axboe/liburing/archive/refs/tags/liburing-2.9.tar.gz
    [hiredis]=https://github.com/redis/hiredis/archive/refs/tags/v1.2.0.tar.gz
    [mbedtls]=$mbedtls_releases/mbedtls-3.6.6/mbedtls-3.6.6.tar.bz2
)

# SHA-256 of what may be unpacked; a second one where upstream packs the same release differently.
declare -A pinned=(
    [wolfssl]=2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114
    [liburing]='57e9b36e4ac1e46b8e0351dfb1694dc59638fc25e384b4ba36d87b800b16db1a
                897b1153b55543e8b92a5a3eb9b906537a5fedcf8afaf241f8b8787940c79f8d'
    [hiredis]=82ad632d31ee05da13b537c124f819eb88e18851d9cb0c30ae0552084811588c
    [libcoap]=a332b682ceacef4c3130b2fb17851db02020c3f64b8a562c1ffd8d9b8a9320d4
    [mbedtls]=8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a
)

# --- packages -----------------------------------------------------------------------------------

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

install_packages() { # names...
    local installed name missing=()
    # shellcheck disable=SC2016  # the field names are dpkg-query's, not the shell's
    installed=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' "$@" 2>/dev/null || true)"
    for name in "$@"; do
        [[ $installed == *" $name=installed "* ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    echo "deps.sh: installing ${missing[*]}"

    # The tests start their own redis-server; none is to come up as a service at installation. 101
    # is how policy-rc.d says "not allowed", and a policy that the machine has already stays.
    local policy=/usr/sbin/policy-rc.d
    if [[ " ${missing[*]} " == *' redis-server '* && ! -e $policy ]]; then
        own_policy=$policy
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root apt-get -q update ||
        echo 'deps.sh: apt-get update failed; trying the package lists at hand' >&2
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qy install --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}; install them by hand and start again"
    drop_policy
    if [[ " ${missing[*]} " == *' redis-server '* && -d /run/systemd/system ]]; then
        as_root systemctl disable --quiet redis-server
    fi
}

own_policy=
drop_policy() {
    [[ -z $own_policy ]] || as_root rm -f "$own_policy"
    own_policy=
}

# --- sources ------------------------------------------------------------------------------------

is_pinned() { # name path
    local sum
    sum=$(sha256sum "$2")
    [[ " ${pinned[$1]//$'\n'/ } " == *" ${sum%% *} "* ]]
}

declare -A archive # name -> path of an archive that matched its pin

# Looks in HOLDFAST_SOURCES, in earlier downloads, at upstream, then at apt's source packages. A
# wrong archive in HOLDFAST_SOURCES ends the run: whoever put it there meant it to be used.
find_archive() { # name
    local name=$1 want=${file[$1]} kept=$cache/sources/${file[$1]} url=${upstream[$1]:-} got tried
    if [[ -n ${HOLDFAST_SOURCES:-} ]]; then
        got=$HOLDFAST_SOURCES/$want
        if [[ -f $got ]]; then
            is_pinned "$name" "$got" ||
                die "$got is not the pinned $name (SHA-256 ${pinned[$name]%%[[:space:]]*});" \
                    "replace it, or remove it to have it downloaded"
            archive[$name]=$got
            return
        fi
        tried="$HOLDFAST_SOURCES (no such file)"
    else
        tried='HOLDFAST_SOURCES (not set)'
    fi

    archive[$name]=$kept
    if [[ -f $kept ]] && is_pinned "$name" "$kept"; then return; fi

    if [[ -n $url ]]; then
        if curl -fsSL --connect-timeout 10 --retry 2 -o "$work/$want" "$url" 2>/dev/null; then
            keep "$name" "$work/$want" "$kept" && return
            tried+=", $url (another SHA-256)"
        else
            tried+=", $url (download failed)"
        fi
    fi

    if apt_source "$want"; then
        keep "$name" "$work/apt/$want" "$kept" && return
        tried+=", apt's source packages of ${suites[*]} (another SHA-256)"
    else
        tried+=", apt's source packages of ${suites[*]} (not there)"
    fi
    die "no $want for $name; looked in $tried;" \
        "put the file (SHA-256 ${pinned[$name]%%[[:space:]]*}) into a folder and" \
        "set HOLDFAST_SOURCES to that folder"
}

keep() { # name from to: a download that is the pinned one appears in the cache whole or not at all
    is_pinned "$1" "$2" && mkdir -p "${3%/*}" && cp "$2" "$3.part" && mv "$3.part" "$3"
}

# Source packages come from newer suites than the machine runs, so apt gets package lists of its
# own: from the machine's Debian mirror, with nothing of its configuration changed.
suites=(trixie sid)
apt_own=()
apt_lists() {
    local mirror suite
    # shellcheck disable=SC2016  # apt's own format
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security |
        sort -u | head -n 1)
    [[ -n $mirror ]] || return 1
    mkdir -p "$work/apt/lists/partial"
    for suite in "${suites[@]}"; do
        printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
            "$mirror" "$suite"
    done >"$work/apt/sources.list"
    apt_own=(
        -o "Dir::Etc::SourceList=$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$work/apt/lists"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    )
    apt-get -q "${apt_own[@]}" update
}

# Debian names an archive SOURCE_VERSION.orig.tar.*; any Debian revision of that version will do.
apt_source() { # file -> $work/apt/file
    local source=${1%%_*} version=${1#*_} revision
    version=${version%%.orig*}
    {
        ((${#apt_own[@]})) || apt_lists || return 1
        revision=$(apt-cache "${apt_own[@]}" showsrc --only-source "$source" |
            awk -v v="$version-" '$1 == "Version:" && index($2, v) == 1 && !n++ { print $2 }')
        [[ -n $revision ]] || return 1
        (cd "$work/apt" && apt-get -q "${apt_own[@]}" source --download-only --tar-only \
            "$source=$revision") || return 1
    } >/dev/null 2>&1
    [[ -f $work/apt/$1 ]]
}

unpack() { # name folder
    mkdir -p "$2"
    tar -xf "${archive[$1]}" -C "$2" --strip-components=1
}

# --- builds: each in a folder of its own, installing below $stage as if that were / ---------------

jobs=$(nproc)
cflags='-O2 -fPIC'

cmake_configure() { # source-folder build-folder options...
    local source=$1 build=$2
    shift 2
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS="$cflags" \
        -DCMAKE_C_FLAGS_RELEASE=-DNDEBUG -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
        -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF "$@"
}

wolfssl_build() { # prefix options...: configures and builds in the folder it is called in
    local to=$1
    shift
    local simd=()
    [[ $(uname -m) != x86_64 ]] || simd=(--enable-intelasm)
    ./autogen.sh
    ./configure --prefix="$to" --libdir="$to/lib" --enable-static --disable-shared --with-pic \
        --disable-examples --disable-crypttests --disable-benchmark \
        --enable-dtls --enable-dtls13 --enable-dtlscid --enable-dtls-mtu --enable-psk \
        --enable-aesccm "${simd[@]}" --enable-sp --enable-session-ticket --enable-rpk \
        --enable-hkdf --enable-atomicuser "$@" \
        CFLAGS="$cflags -DWOLFSSL_STATIC_PSK -DDTLS_CID_MAX_SIZE=20 -DHAVE_SECRET_CALLBACK"
    make -j"$jobs"
}

build_wolfssl() {
    unpack wolfssl source
    cd source
    wolfssl_build "$prefix"
    make install DESTDIR="$stage"
}

build_liburing() {
    unpack liburing source
    cd source
    ./configure --prefix="$prefix" --libdir="$prefix/lib" --libdevdir="$prefix/lib" \
        --mandir="$prefix/share/man"
    make -C src -j"$jobs" CFLAGS="$cflags" ENABLE_SHARED=0
    make install DESTDIR="$stage" CFLAGS="$cflags" ENABLE_SHARED=0
}

build_hiredis() {
    unpack hiredis source
    cmake_configure source build -DCMAKE_INSTALL_PREFIX="$prefix" -DENABLE_SSL=ON -DDISABLE_TESTS=ON
    cmake --build build -j "$jobs"
    DESTDIR=$stage cmake --install build
}

# The option codec and the URI helpers only: no DTLS, hence no crypto library below it.
build_libcoap() {
    unpack libcoap source
    cmake_configure source build -DCMAKE_INSTALL_PREFIX="$prefix" -DENABLE_DTLS=OFF \
        -DENABLE_OSCORE=OFF -DENABLE_EXAMPLES=OFF -DENABLE_DOCS=OFF
    cmake --build build -j "$jobs"
    DESTDIR=$stage cmake --install build
}

coap_peers() { # backend root-of-that-backend
    unpack libcoap coap
    cmake_configure coap coap-build -DENABLE_DTLS=ON -DDTLS_BACKEND="$1" -DCMAKE_PREFIX_PATH="$2" \
        -DENABLE_DOCS=OFF -DCMAKE_C_STANDARD_LIBRARIES=-lm
    cmake --build coap-build -j "$jobs" --target coap-client coap-server
    install -Dt "$stage$prefix/peers/$1" coap-build/coap-client coap-build/coap-server
}

# The same coap-client once more, from a build of mbedTLS that knows one cipher suite: an object
# that comes before the archive takes the place of the archive's own.
coap_client_ccm8() { # mbedtls-source
    local only=$PWD/ssl_ciphersuites_ccm8.o
    # shellcheck disable=SC2086  # several flags
    cc $cflags -DMBEDTLS_SSL_CIPHERSUITES=MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8 -I"$1/include" \
        -I"$1/library" -c "$1/library/ssl_ciphersuites.c" -o "$only"
    cmake coap-build -DCMAKE_EXE_LINKER_FLAGS="$only"
    cmake --build coap-build -j "$jobs" --target coap-client
    install -DT coap-build/coap-client "$stage$prefix/peers/mbedtls/coap-client-ccm8"
}

build_peers_mbedtls() {
    unpack mbedtls source
    cmake_configure source build -DCMAKE_INSTALL_PREFIX="$PWD/root" -DGEN_FILES=OFF \
        -DENABLE_PROGRAMS=ON -DENABLE_TESTING=OFF
    cmake --build build -j "$jobs" --target ssl_client2 lib
    cmake --install build/library
    cmake --install build/include
    coap_peers mbedtls "$PWD/root"
    coap_client_ccm8 "$PWD/source"
    install -Dt "$stage$prefix/peers/mbedtls" build/programs/ssl/ssl_client2
}

# libcoap speaks to wolfSSL through its OpenSSL names, which Holdfast's own build leaves out.
build_peers_wolfssl() {
    unpack wolfssl source
    local root=$PWD/root
    cd source
    wolfssl_build "$root" --enable-opensslall --enable-alpn
    make install
    cd ..
    coap_peers wolfssl "$root"
}

# --- the run ------------------------------------------------------------------------------------

building=
finish() {
    local status=$?
    if ((status)) && [[ -n $building ]]; then
        tail -n 30 "$work/$building.log" >&2
        printf 'deps.sh: building %s failed; the end of its output is above\n' "$building" >&2
    fi
    drop_policy
    [[ -z $work ]] || rm -rf "$work"
}

build() { # part
    building=$1
    local stage=$work/stage-$1
    echo "deps.sh: building $1"
    mkdir -p "$work/$1" "$stage" "$prefix/stamps"
    (cd "$work/$1" && "build_$1") >"$work/$1.log" 2>&1
    cp -a "$stage$prefix/." "$prefix/"
    touch "$prefix/stamps/$1"
    rm -rf "${work:?}/$1" "$stage"
    building=
}

want_tests=
(($# <= 1)) || die "one option at most, see --help"
case ${1:-} in
    '') ;;
    --tests) want_tests=1 ;;
    --prefix)
        echo "$prefix"
        exit 0
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        printf 'deps.sh: unknown option %s; known are --tests, --prefix and --help\n' "$1" >&2
        exit 2
        ;;
esac

work=
trap finish EXIT
trap 'building=; exit 130' INT
parts=("${libraries[@]}")
[[ -z $want_tests ]] || {
    packages+=("${test_packages[@]}")
    parts+=("${peers[@]}")
}

# One run at a time: apt has its own lock and a prefix must not be filled twice.
mkdir -p "$cache"
exec {lock}>"$cache/lock"
flock "$lock"

install_packages "${packages[@]}"

todo=()
for part in "${parts[@]}"; do
    [[ -f $prefix/stamps/$part ]] || todo+=("$part")
done
((${#todo[@]})) || exit 0

work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-deps.XXXXXX")
for part in "${todo[@]}"; do
    for name in ${archives_of[$part]}; do
        [[ -n ${archive[$name]:-} ]] || find_archive "$name"
    done
done
for part in "${todo[@]}"; do
    build "$part"
done
echo "deps.sh: complete in $prefix"
