#!/usr/bin/env bash
# CPython 3.14 on this machine, from Debian's next release.
#   tools/platforms/python314.sh setup            make the root, once (a minute, 400 MB)
#   tools/platforms/python314.sh run COMMAND...   run a command in it, in the checkout, such as: python3 -m pytest -q tests/ir
# Needs Debian with apt on x86-64, Python with pip, and root.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wheels=(numpy llvmlite networkx safetensors rich markdown-it-py mdurl pygments pytest iniconfig pluggy packaging
    hypothesis sortedcontainers mpmath onnx protobuf typing_extensions ml_dtypes h5py absl-py pytest-xdist execnet
    scikit-learn scipy joblib threadpoolctl cloudpickle narwhals)

setup() {
    [[ -d $root/forky ]] || make_root forky amd64 forky python3.14,libgcc-s1,libstdc++6,dash,bash,coreutils,gcc,libc6-dev \
        --aptopt='Acquire::Check-Valid-Until "false"'
    if [[ ! -d $root/site-314 ]]; then
        download_wheels site-314.part 314 manylinux2014_x86_64,manylinux_2_27_x86_64,manylinux_2_28_x86_64 "${wheels[@]}"
        mv "$root/site-314.part" "$root/site-314"
    fi
    ln -sf python3.14 "$root/forky/usr/bin/python3"
    ln -sf gcc "$root/forky/usr/bin/cc"
}

run() {
    mkdir -p "$root"/forky/{proc,dev,sys,checkout,tmp,usr/local/lib/python3.14/dist-packages}
    exec unshare --mount bash -euc '
        root=$1 checkout=$2
        shift 2
        mount --bind "$checkout" "$root/forky/checkout"
        mount --bind "$root/site-314" "$root/forky/usr/local/lib/python3.14/dist-packages"
        mount --rbind /dev "$root/forky/dev"
        mount --rbind /sys "$root/forky/sys"
        mount -t proc proc "$root/forky/proc"
        exec chroot "$root/forky" /usr/bin/env -i PATH=/usr/bin HOME=/root TMPDIR=/tmp PYTHONPATH=/checkout \
            /bin/bash -c "cd /checkout && exec \"\$@\"" run "$@"
    ' unshare "$root" "$checkout" "$@"
}

case ${1-} in
    setup) setup ;;
    run) setup && run "${@:2}" ;;
    *) sed -n '2,5s/^# \?//p' "$0" >&2 && exit 2 ;;
esac
