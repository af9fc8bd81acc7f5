#!/usr/bin/env bash
# A newer CPython on this machine, from Debian's next release: 3.14, or the one that VERSION names, such as 3.15.
#   tools/platforms/newer_python.sh setup            make the root, once (a minute, 400 MB)
#   tools/platforms/newer_python.sh run COMMAND...   run a command in it, in the checkout, such as: python3 -m pytest -q tests/ir
# Needs Debian with apt on x86-64, Python with pip, and root. Packages without a wheel for it are named and left out.
# FRAMEWORKS=1 adds torch, onnxruntime and Keras with their dependencies (7 GB).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=${VERSION:-3.14}
home=$root/python-$version site=$root/site-$version${FRAMEWORKS:+-frameworks}
wheels=(numpy llvmlite networkx safetensors rich markdown-it-py mdurl pygments pytest iniconfig pluggy packaging
    hypothesis sortedcontainers mpmath onnx protobuf typing_extensions ml_dtypes absl-py pytest-xdist execnet
    scikit-learn scipy joblib threadpoolctl cloudpickle narwhals)
optional=(matplotlib contourpy cycler fonttools kiwisolver pyparsing pillow python-dateutil six
    h5py hatchling pathspec trove-classifiers mypy mypy_extensions librt gguf tqdm pyyaml pytest-timeout)
frameworks=(torch onnxruntime keras)
[[ ${FRAMEWORKS-} ]] || frameworks=()

setup() {
    local platforms wheel
    platforms=$(printf ',manylinux_2_%s_x86_64' {5..28}),manylinux1_x86_64,manylinux2010_x86_64,manylinux2014_x86_64
    [[ -d $home ]] || make_root "${home##*/}" amd64 forky "python$version,libgcc-s1,libstdc++6,dash,bash,coreutils,gcc,libc6-dev,tar,gzip" \
        --aptopt='Acquire::Check-Valid-Until "false"'
    if ! has_wheels "${site##*/}" "${wheels[@]}" "${optional[@]}" "${frameworks[@]}"; then
        rm -rf "$site.part"
        if ((${#frameworks[@]})); then
            with_dependencies=1 download_wheels "${site##*/}.part" "${version/./}" "$platforms" "${frameworks[@]}"
        fi
        download_wheels "${site##*/}.part" "${version/./}" "$platforms" "${wheels[@]}"
        for wheel in "${optional[@]}"; do
            download_wheels "${site##*/}.part" "${version/./}" "$platforms" "$wheel" 2>/dev/null ||
                echo "no wheel of $wheel for Python $version" >&2
        done
        replace_site "${site##*/}" "${wheels[@]}" "${optional[@]}" "${frameworks[@]}"
    fi
    ln -sf "python$version" "$home/usr/bin/python3"
    ln -sf gcc "$home/usr/bin/cc"
}

run() {
    local packages=/usr/local/lib/python$version/dist-packages
    mkdir -p "$home"/{proc,dev,sys,checkout,tmp} "$home$packages"
    exec unshare --mount bash -euc '
        home=$1 checkout=$2 site=$3 packages=$4
        shift 4
        mount --bind "$checkout" "$home/checkout"
        mount --bind "$site" "$home$packages"
        mount --rbind /dev "$home/dev"
        mount --rbind /sys "$home/sys"
        mount -t proc proc "$home/proc"
        exec chroot "$home" /usr/bin/env -i PATH=/usr/bin HOME=/root TMPDIR=/tmp PYTHONPATH=/checkout \
            KERAS_BACKEND=torch \
            /bin/bash -c "cd /checkout && exec \"\$@\"" run "$@"
    ' unshare "$home" "$checkout" "$site" "$packages" "$@"
}

case ${1-} in
    setup) setup ;;
    run) setup && run "${@:2}" ;;
    *) sed -n '2,6s/^# \?//p' "$0" >&2 && exit 2 ;;
esac
