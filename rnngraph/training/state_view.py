"""Read-only properties of a trainer."""

from __future__ import annotations

from ..program.program import Program
from ..support.attribute_hints import Uncalled
from .optimization.optimizers import Optimizer
from .optimization.pruning import Prune
from .steps.train_state import TrainState


class StateView(Uncalled):
    """Base of ``Trainer``: the properties that read its state."""

    state: TrainState

    @property
    def program(self) -> Program:
        """Program whose parameters are trained."""
        return self.state.program

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer, with its present learning rate."""
        return self.state.optimizer

    @property
    def clip_norm(self) -> float | None:
        """Maximum norm of all gradients together."""
        return self.state.clip_norm

    @property
    def clip_value(self) -> float | None:
        """Maximum element of a gradient."""
        return self.state.clip_value

    @property
    def accumulate(self) -> int:
        """Steps whose gradients are averaged for one update."""
        return self.state.accumulate

    @property
    def prune(self) -> Prune | None:
        """Schedule of pruning."""
        return self.state.prune

    @property
    def shards(self) -> int | None:
        """Number of parts of each batch; None: it is not split."""
        return self.state.shards

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the parameters that updates change."""
        return self.state.trained

    @property
    def updates(self) -> int:
        """Number of updates."""
        return self.state.updates

    @property
    def skipped(self) -> int:
        """Number of updates that were skipped, as they were not finite."""
        return self.state.skipped

    @property
    def epochs(self) -> int:
        """Epochs of all fits."""
        return self.state.epochs

    @property
    def gradient_norm(self) -> float:
        """Norm of the last step's gradients, after ``clip_value`` and before ``clip_norm``."""
        return self.state.gradient_norm
