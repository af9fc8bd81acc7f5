"""Links between unrolled steps: the nodes between the results of a step and the input of the next step.

Where the first link reads a node from outside of the loop, a later link may read a value of the previous link. The
outside node is then the initial value of a carry, which the loop passes from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ....declare.parameter_maps import RANDOM
from ....ir.graph import Node, topological
from .steps import Steps, compatible, equal, same_attributes


@dataclass
class Link:
    """Nodes between two steps.

    Attributes:
        nodes: Results of the step and nodes of the link, by the corresponding nodes of the first link.
        leaves: Nodes that the link reads from outside of the loop or from the previous link, by the corresponding
            nodes of the first link.
    """

    nodes: dict[Node, Node]
    leaves: dict[Node, Node] = field(default_factory=dict)

    def copy(self) -> Link:
        """Return a copy that can be modified."""
        return Link(dict(self.nodes), dict(self.leaves))


class Links:
    """Chain of steps with equal links.

    Attributes:
        chain: The steps.
        links: A link for each step but the last.
        carried: The carries, as {initial value: next value}. The initial value is a leaf of the first link, and the
            next value a node of the first link.
    """

    def __init__(self, uses: Steps, first: Node) -> None:
        self._uses, self._after = uses, uses.descendants(first)
        self.chain, self.links, self.carried = [first], list[Link](), dict[Node, Node]()
        while (following := self._following()) is not None:
            self.chain.append(following)
        if self.carried:
            self._complete()

    def _following(self) -> Node | None:
        """Return the next of the equal unrolled steps, and record the nodes between; None if there is none."""
        last, values = self.chain[-1], self._uses.values(self.chain[-1])
        following = self._uses.next_step(last, values)
        if following is None or following.operands[0] not in self._after or not equal(self.chain[0], following):
            return None
        if any(node in self._uses.preserved for node in values.values()) or last["driver"].body.emits:
            return None
        first = self._uses.values(self.chain[0])
        if first.keys() != values.keys():
            return None
        number = len(self.links)
        changed = {number: Link({first[index]: values[index] for index in first})}
        carried = dict(self.carried)
        begin = following.operands[0] if not self.links else self.chain[1].operands[0]
        if not self._matches((number, begin, following.operands[0]), changed, carried):
            return None
        self.links.append(changed.pop(number))
        for place, link in changed.items():
            self.links[place] = link
        self.carried = carried
        return following

    def _matches(self, pair: tuple[int, Node, Node], changed: dict[int, Link], carried: dict[Node, Node]) -> bool:
        """True if the nodes between two steps match those between the first two steps. Records the matches.

        Args:
            pair: (number of the link, node ``a`` of the first link, node ``b`` of the link).
            changed: Links by number. The matched nodes are added.
            carried: Like the attribute. The carries of the link are added.
        """
        pending = [pair]
        while pending:
            number, a, b = pending.pop()
            if number not in changed:
                changed[number] = self.links[number].copy()
            link = changed[number]
            known = link.nodes.get(a) or link.leaves.get(a)
            if known is not None:
                if known is not b:
                    return False
                continue
            if not compatible(a.type, b.type):
                return False
            if a not in self._after:
                link.leaves[a] = b
                if b in self._after:
                    if a not in carried and number == 1:
                        carried[a] = b
                        pending.append((0, b, b))
                    elif a not in carried or (number == 1 and carried[a] is not b):
                        return False
                    elif number > 1:
                        pending.append((number - 1, carried[a], b))
                elif a in carried and number:
                    return False
                continue
            if b not in self._after or not self._is_alike(a, b):
                return False
            link.nodes[a] = b
            pending += [(number, *operands) for operands in zip(a.operands, b.operands, strict=True)]
        return True

    def _is_alike(self, a: Node, b: Node) -> bool:
        """True if two nodes have equal ops, attributes and numbers of operands. False for loops and random numbers.

        False for drivers and their results, random numbers and preserved nodes, which no link may contain.
        """
        if a.op != b.op or a.op in ("driver", "get") or a.op in RANDOM or b in self._uses.preserved:
            return False
        return len(a.operands) == len(b.operands) and same_attributes(a, b)

    def _complete(self) -> None:
        """Add to the last link the nodes that compute carried values for readers outside of the loop."""
        link, number = self.links[-1], len(self.links) - 1
        for node in topological(list(self.carried.values())):
            if node not in self.links[0].nodes or node in link.nodes or not number:
                continue
            images = [self._image(operand, link) for operand in node.operands]
            anchor = next((image for image in images if image in self._after), None)
            for other in self._uses.users[anchor] if anchor is not None else ():
                if self._is_alike(node, other) and self._fits(node, other, images):
                    link.nodes[node] = other
                    pairs = zip(node.operands, other.operands, strict=True)
                    link.leaves |= {a: b for a, b in pairs if a in self.links[0].leaves}
                    break

    def _image(self, operand: Node, link: Link) -> Node | None:
        """Return the last link's counterpart of the first link's operand; None if it is unknown."""
        known = link.nodes.get(operand) or link.leaves.get(operand)
        if known is None and operand in self.carried:
            return self.links[-2].nodes.get(self.carried[operand])
        return known

    def _fits(self, node: Node, other: Node, images: list[Node | None]) -> bool:
        """True if the operands of ``other``, in the last link, correspond to those of ``node``, in the first one.

        Operands correspond if the image is ``other``'s operand, or if both come from outside of the loop.

        Args:
            node: Node of the first link.
            other: Node that may belong to the last link.
            images: Results of ``_image`` for the operands of ``node``.
        """
        for operand, own, image in zip(node.operands, other.operands, images, strict=True):
            if image is not None:
                if image is not own:
                    return False
            elif operand in self._after or own in self._after or not compatible(operand.type, own.type):
                return False
        return True
