# Functions that the scripts of this folder share. Sourced, with bash.
# Everything is put into $root: Debian's packages and wheels, unpacked; nothing is installed on the machine.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
root=${XDG_CACHE_HOME:-$HOME/.cache}/rnngraph-platforms
python=${PYTHON:-python3}

# Mirror of Debian that apt uses on this machine.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        grep -m 1 -E '/debian/?$' || echo http://deb.debian.org/debian
}

# unpack_tools PACKAGE...: unpack packages of this machine's Debian into $root/host.
unpack_tools() {
    local folder
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download "$@")
    mkdir -p "$root/host"
    for package in "$folder"/*.deb; do dpkg -x "$package" "$root/host"; done
    rm -r "$folder"
}

# make_root FOLDER ARCHITECTURE SUITE PACKAGES [OPTION...]: make a folder with a Debian, unpacked but not configured.
make_root() {
    [[ -d $root/host/usr/share/doc/mmdebstrap ]] || unpack_tools mmdebstrap
    rm -rf "${root:?}/$1.part"
    PATH=$root/host/usr/bin:$PATH perl "$root/host/usr/bin/mmdebstrap" --quiet --mode=root --variant=extract \
        --architectures="$2" --include="$4" --format=directory "${@:5}" "$3" "$root/$1.part" "$(mirror)"
    for name in lib bin sbin; do
        [[ -e $root/$1.part/$name ]] || ln -s "usr/$name" "$root/$1.part/$name"
    done
    mv "$root/$1.part" "$root/$1"
}

# download_wheels FOLDER VERSION PLATFORMS WHEEL...: download wheels for another machine, and unpack them into a folder,
# since pip refuses to install them. PLATFORMS are separated by commas. with_dependencies=1 adds their dependencies.
download_wheels() {
    local folder options=()
    folder=$(mktemp -d)
    [[ ${with_dependencies-} ]] || options+=(--no-deps)
    for platform in ${3//,/ }; do options+=(--platform "$platform"); done
    "$python" -m pip download --quiet --only-binary=:all: --python-version "$2" "${options[@]}" \
        --dest "$folder" "${@:4}"
    "$python" "$here/unpack_wheels.py" "$folder" "$root/$1"
    rm -r "$folder"
}

# has_wheels FOLDER WHEEL...: succeed if the folder was made from exactly this list of wheels.
has_wheels() {
    [[ -f $root/$1/wheels.txt && $(<"$root/$1/wheels.txt") == "${*:2}" ]]
}

# replace_site FOLDER WHEEL...: replace a folder of wheels by FOLDER.part, and store the list of wheels in it.
replace_site() {
    echo "${*:2}" >"$root/$1.part/wheels.txt"
    rm -rf "${root:?}/$1"
    mv "$root/$1.part" "$root/$1"
}
