#!/usr/bin/env bash
# Windows x64 on this machine: CPython 3.11 for Windows under wine, in a Debian of its own.
#   tools/platforms/windows.sh setup            make the root, once (some minutes, 2 GB)
#   tools/platforms/windows.sh run COMMAND...   run a command in it, in the checkout, such as: python -m pytest -q tests/ir
# Needs Debian with apt, Python 3.11 with pip, and root. CPython's DLLs for Windows come from the wheel of panda3d, which
# ships them for programs that embed Python; the library's Python files are those of PYTHON, which must be 3.11.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=wine,wine64,gcc-mingw-w64-x86-64-posix,libz-mingw-w64,bash,coreutils,dash
wheels=(numpy llvmlite networkx safetensors rich markdown-it-py mdurl pygments pytest iniconfig pluggy packaging
    colorama hypothesis sortedcontainers mpmath onnx protobuf typing_extensions ml_dtypes h5py absl-py
    pytest-xdist execnet scikit-learn scipy joblib threadpoolctl cloudpickle narwhals hatchling pathspec trove-classifiers
    matplotlib contourpy cycler fonttools kiwisolver pyparsing pillow python-dateutil six pytest-timeout
    torch sympy filelock fsspec jinja2 markupsafe onnxruntime flatbuffers keras optree namex gguf tqdm pyyaml)

setup() {
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
        echo "PYTHON must be Python 3.11, whose library is used" >&2
        exit 1
    }
    [[ -d $root/windows ]] || make_root windows amd64 trixie "$packages"
    [[ -d $root/windows/python ]] || make_python
    if ! has_wheels site-windows "${wheels[@]}"; then
        rm -rf "$root/site-windows.part"
        download_wheels site-windows.part 311 win_amd64 "${wheels[@]}"
        add_complex_math
        replace_site site-windows "${wheels[@]}"
    fi
    [[ -d $root/windows/root/prefix ]] || in_root /usr/lib/wine/wine64 wineboot --init
}

# /python of the root: python.exe, DLLs and the library.
make_python() {
    local part=$root/windows/python.part mingw=$root/windows/usr/x86_64-w64-mingw32/lib
    rm -rf "$part" "$root/panda3d"
    mkdir -p "$part/DLLs"
    download_wheels panda3d 311 win_amd64 panda3d==1.10.16
    cp "$root"/panda3d/deploy_libs/* "$part/DLLs/"
    rm -r "$root/panda3d"
    cp -r "$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" "$part/Lib"
    rm -rf "$part"/Lib/{site-packages,lib-dynload,test}
    # The library of 3.11.7 lacks a decorator that the DLLs of 3.11.9 need.
    sed -i '/@classmethod/!{N;s/^\( *[^@]*\n\)\(    def invalidate_caches(cls)\)/\1    @classmethod\n\2/;P;D}' \
        "$part/Lib/importlib/metadata/__init__.py"
    cp "$part"/DLLs/{python311,vcruntime140,vcruntime140_1,libffi-8}.dll "$part/" 2>/dev/null || true
    find "$mingw" "$root/windows/usr/x86_64-w64-mingw32" -name zlib1.dll -exec cp {} "$part/" \;
    cp "$here/windows_python.c" "$part/python.c"
    # python3.dll, which modules of the stable ABI load, forwards all that python311.dll exports.
    {
        echo EXPORTS
        chroot "$root/windows" x86_64-w64-mingw32-objdump -p /python.part/python311.dll |
            sed -nE 's/^.*\+base\[ *[0-9]+\] +[0-9a-f]+ (_?Py\w*)$/\1=python311.\1/p'
    } >"$part/python3.def"
    chroot "$root/windows" /bin/bash -euc '
        cd /python.part
        x86_64-w64-mingw32-gcc-posix -municode -O1 -o python.exe python.c
        x86_64-w64-mingw32-dlltool -d python3.def -D python3.dll -l python3.a -e python3.o
        x86_64-w64-mingw32-gcc-posix -shared -nostdlib -Wl,--entry=0 -o python3.dll python3.def python3.o'
    mv "$part" "$root/windows/python"
}

# Wine 10 lacks C's functions of complex numbers, which NumPy calls. Its modules load a DLL in place of the system's that
# has these functions of MinGW, and forwards all others. Both names have 30 letters, as a module's text is changed.
add_complex_math() {
    local system=api-ms-win-crt-math-l1-1-0.dll ours=complex-math-for-wine-0001.dll part=$root/windows/tmp/complex module
    rm -rf "$part" && mkdir -p "$part"
    mapfile -t modules < <(grep -rl "$system" "$root/site-windows.part/numpy" --include=*.pyd)
    for module in "${modules[@]}"; do
        cp "$module" "$part/module.pyd"
        chroot "$root/windows" x86_64-w64-mingw32-objdump -p /tmp/complex/module.pyd |
            awk '/DLL Name:/ { here = ($3 ~ /crt-math/) } here && $2 == "<none>" { print $4 }'
        sed -i "s/$system/$ours/" "$module"
    done | sort -u >"$part/names"
    local complex='^c(abs|arg|cos|cosh|exp|imag|log|pow|real|sin|sinh|sqrt|tan|tanh)'
    {
        echo EXPORTS
        sed -nE "/${complex}f?\$/p; s/${complex}l\$/c\1l=c\1/p" "$part/names"
        grep -vE "${complex}[fl]?\$" "$part/names" | sed 's/.*/&=ucrtbase.&/'
    } >"$part/math.def"
    grep -E "${complex}f?\$" "$part/names" | sed 's/.*/extern void &(void); void *_&(void) { return \&&; }/' >"$part/math.c"
    chroot "$root/windows" /bin/bash -euc "
        cd /tmp/complex
        x86_64-w64-mingw32-gcc-posix -w -fno-builtin -static-libgcc -shared -o $ours math.c math.def -lmingwex"
    cp "$part/$ours" "$root/windows/python/"
}

# One command at a time: all processes of wine share a server, which sees the checkout of the command that started it.
# KMP_AFFINITY: to bind threads, torch's OpenMP calls a function that wine lacks.
in_root() {
    exec 9>"$root/windows.lock"
    flock 9
    mkdir -p "$root"/windows/{proc,sys,dev,checkout,site,tmp} "$root/site-windows"
    unshare --mount bash -euc '
        root=$1 checkout=$2
        shift 2
        mount -t proc proc "$root/windows/proc"
        mount --rbind /sys "$root/windows/sys"
        mount --rbind /dev "$root/windows/dev"
        mount --bind "$checkout" "$root/windows/checkout"
        mount --bind "$root/site-windows" "$root/windows/site"
        exec chroot "$root/windows" /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/root XDG_RUNTIME_DIR=/tmp \
            WINEPREFIX=/root/prefix WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml,explorer.exe,winemenubuilder.exe=" \
            WINEPATH="Z:\\python;Z:\\python\\DLLs" PYTHONHOME="Z:\\python" \
            PYTHONPATH="Z:\\python\\DLLs;Z:\\checkout;Z:\\site" \
            PYTHONUTF8=1 KERAS_BACKEND=torch KMP_AFFINITY=disabled \
            /bin/bash -c "cd /checkout; \"\$@\"; code=\$?; wineserver=/usr/lib/wine/wineserver
                \$wineserver --kill; \$wineserver --wait; exit \$code" run "$@"
    ' unshare "$root" "$checkout" "$@"
}

run() {
    if [[ $1 == python ]]; then
        in_root /usr/lib/wine/wine64 'Z:\python\python.exe' "${@:2}"
    else
        in_root "$@"
    fi
}

case ${1-} in
    setup) setup ;;
    run) setup && run "${@:2}" ;;
    *) sed -n '2,7s/^# \?//p' "$0" >&2 && exit 2 ;;
esac
