"""Read-only properties of a trainer."""

from __future__ import annotations

from ..program.program import Program
from ..support.attribute_hints import Uncalled
from .optimization.optimizers import Optimizer
from .optimization.pruning import Prune
from .steps.train_state import TrainState


class StateView(Uncalled):
    """Base class of ``Trainer``, with the properties that read its state."""

    state: TrainState

    @property
    def program(self) -> Program:
        """Program whose parameters are trained."""
        return self.state.program

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer, with its current learning rate."""
        return self.state.optimizer

    @property
    def clip_norm(self) -> float | None:
        """Maximum norm of all gradients together; None: no limit."""
        return self.state.clip_norm

    @property
    def clip_value(self) -> float | None:
        """Maximum magnitude of an element of a gradient; None: no limit."""
        return self.state.clip_value

    @property
    def accumulate(self) -> int:
        """Number of steps whose gradients are averaged for one update."""
        return self.state.accumulate

    @property
    def prune(self) -> Prune | None:
        """Schedule of pruning; None without pruning."""
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
        """Number of updates made."""
        return self.state.updates

    @property
    def skipped(self) -> int:
        """Number of steps and updates that were skipped because they were not finite."""
        return self.state.skipped

    @property
    def epochs(self) -> int:
        """Number of epochs in all fits."""
        return self.state.epochs

    @property
    def gradient_norm(self) -> float:
        """Norm of the last step's gradients, after ``clip_value`` and before ``clip_norm``; NaN before the first step.

        With ``accumulate``, after an update, the norm of the averaged gradients.
        """
        return self.state.gradient_norm
