"""Reader of the tables in ``hints/``, which map words to remedies."""

from __future__ import annotations

from pathlib import Path
from string import Template

FOLDER = Path(__file__).with_name("hints")
Table = dict[str, str]


def hint_tables(name: str) -> dict[str, Table]:
    """Return {section of the file ``hints/NAME.txt``: {word: its remedy, with phrases substituted}}."""
    tables: dict[str, Table] = {}
    table, remedy = Table(), ""
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section, _, base = line[1:-1].partition(": ")
            table = tables[section] = Table(tables.get(base, {}))
        elif line.startswith("    "):
            table.update(dict.fromkeys(line.split(), remedy))
        elif line and not line.startswith("#"):
            remedy = Template(line).substitute(tables.get("phrases", {}))
    return tables
