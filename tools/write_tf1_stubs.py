"""Write the stubs of ``rnngraph.tf1``, with the names of its modules, for editors and type checkers.

    python tools/write_tf1_stubs.py

The modules' names are built at run time from ``rnngraph/tf1/table/names.txt``; ``tests/tf1/test_table.py`` fails if a
stub differs from the table.
"""

from __future__ import annotations

from pathlib import Path

from rnngraph.tf1.table.entries import Table, table

FOLDER = Path(__file__).parent.parent / "rnngraph" / "tf1"


def stubs() -> dict[Path, str]:
    """Return {path of a stub: its text}."""
    entries = table()
    return {_file(path, entries): _stub(path, entries) for path in entries.members}


def _file(path: str, entries: Table) -> Path:
    folder = FOLDER.joinpath(*path.split(".")) if path else FOLDER
    is_package = (folder / "__init__.py").exists() or any(item.rpartition(".")[0] == path for item in entries.members)
    return folder / "__init__.pyi" if is_package or not path else folder.with_suffix(".pyi")


def _stub(path: str, entries: Table) -> str:
    lines = [f'"""``tf{"." * bool(path)}{path}``, written by tools/write_tf1_stubs.py."""', ""]
    for name in sorted(name for name in entries.members[path] if not name.startswith("_")):
        full = f"{path}.{name}" if path else name
        if full in entries.targets:
            place, _, attribute = entries.targets[full].rpartition(".")
            place = place if place.startswith("rnngraph.") else f"rnngraph.tf1.{place}"
            lines.append(f"from {place} import {attribute} as {name}")
        else:
            package, _, last = f"rnngraph.tf1.{entries.aliases.get(full, full)}".rstrip(".").rpartition(".")
            lines.append(f"from {package} import {last} as {name}")
    return "\n".join([*lines, "", "__version__: str", ""] if not path else [*lines, ""])


def main() -> None:
    """Write all stubs, and remove stubs of modules that no longer exist."""
    texts = stubs()
    for old in set(FOLDER.rglob("*.pyi")) - texts.keys():
        old.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(texts)} stubs")


if __name__ == "__main__":
    main()
