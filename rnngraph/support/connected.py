"""Connected components of a collection whose items share keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence


def connected(keys: Sequence[Iterable[Hashable]]) -> list[list[int]]:
    """Return the connected components of items that share keys: lists of the items' indices, in order.

    Args:
        keys: Keys of each item. An item without keys is a group of its own.
    """
    part_of: dict[Hashable, int] = {}
    parts: dict[int, list[int]] = {}
    for number, own in enumerate(map(set, keys)):
        met = sorted({part_of[key] for key in own if key in part_of}, key=lambda part: -len(parts[part]))
        part = met[0] if met else number
        for other in met[1:]:
            moved = parts.pop(other)
            parts[part] += moved
            part_of.update((key, part) for item in moved for key in keys[item])
        parts.setdefault(part, []).append(number)
        part_of.update(dict.fromkeys(own, part))
    return sorted(map(sorted, parts.values()))
