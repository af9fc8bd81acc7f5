"""What the graphs of one program share."""

from __future__ import annotations

from dataclasses import dataclass

from ..passes.lowering.lowered import Lowered
from ..runtime.calls.feed_names import FeedNames
from ..runtime.graph_source import GraphSource
from ..runtime.native.compile_options import CompileOptions
from ..runtime.parameters import Parameters
from .seeds import SeedGenerator


@dataclass(frozen=True)
class ProgramParts:
    """source: where the graphs come from. options: of the compiler. names: of feeds. seeds: of masks."""

    source: GraphSource
    parameters: Parameters
    options: CompileOptions
    names: FeedNames
    seeds: SeedGenerator

    @property
    def lowered(self) -> Lowered:
        """The declaration as calls run it."""
        return self.source.lowered
