#!/usr/bin/env bash
# ARM Linux on this machine: an arm64 Debian with Python 3.13 under qemu-user.
#   tools/platforms/aarch64.sh setup            make the root, once (some minutes, 1 GB)
#   tools/platforms/aarch64.sh run COMMAND...   run a command in it, in the checkout, such as: python3 -m pytest -q tests/ir
# Needs Debian with apt, Python with pip, root, and Linux 6.7 or newer (binfmt handlers of a user namespace).
# QEMU_CPU chooses the processor. The default is neoverse-n1; under "max" NumPy's own float64 products are wrong.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wheels=(numpy llvmlite networkx safetensors rich markdown-it-py mdurl pygments pytest iniconfig pluggy packaging
    hypothesis sortedcontainers mpmath onnx protobuf typing_extensions ml_dtypes h5py absl-py pytest-xdist execnet scikit-learn scipy joblib threadpoolctl cloudpickle narwhals)

setup() {
    [[ -x $root/host/usr/bin/qemu-aarch64 ]] || unpack_tools qemu-user
    [[ -d $root/arm64 ]] || make_root arm64 arm64 trixie python3.13,libgcc-s1,libstdc++6,dash,bash,coreutils,gcc,libc6-dev
    if ! has_wheels site-arm64 "${wheels[@]}"; then
        rm -rf "$root/site-arm64.part"
        download_wheels site-arm64.part 313 manylinux2014_aarch64,manylinux_2_27_aarch64,manylinux_2_28_aarch64 \
            "${wheels[@]}"
        replace_site site-arm64 "${wheels[@]}"
    fi
    ln -sf python3.13 "$root/arm64/usr/bin/python3"
    ln -sf gcc "$root/arm64/usr/bin/cc"
}

run() {
    mkdir -p "$root"/arm64/{proc,dev,sys,checkout,tmp,usr/local/lib/python3.13/dist-packages} "$root/binfmt"
    exec unshare --user --map-root-user --mount --pid --fork bash -euc '
        root=$1 checkout=$2 cpu=$3
        shift 3
        mount --bind "$checkout" "$root/arm64/checkout"
        mount --bind "$root/site-arm64" "$root/arm64/usr/local/lib/python3.13/dist-packages"
        mount --rbind /dev "$root/arm64/dev"
        mount -t proc proc "$root/arm64/proc"
        mount -t binfmt_misc none "$root/binfmt"
        head="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
        mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
        echo ":qemu-aarch64:M::$head:$mask:$root/host/usr/bin/qemu-aarch64:F" >"$root/binfmt/register"
        exec chroot "$root/arm64" /usr/bin/env -i PATH=/usr/bin HOME=/root TMPDIR=/tmp QEMU_CPU="$cpu" \
            PYTHONPATH=/checkout /bin/bash -c "cd /checkout && exec \"\$@\"" run "$@"
    ' unshare "$root" "$checkout" "${QEMU_CPU:-neoverse-n1}" "$@"
}

case ${1-} in
    setup) setup ;;
    run) setup && run "${@:2}" ;;
    *) sed -n '2,6s/^# \?//p' "$0" >&2 && exit 2 ;;
esac
