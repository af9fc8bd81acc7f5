"""Forecast the next year's sunspots and those of the next eleven years, with intervals from dropout.

    pip install '.[examples]'
    python examples/forecast.py
    python examples/forecast.py --quick        # seconds, and then it forecasts badly
    python examples/forecast.py --plot forecast.png

A GRU of 32 units reads the yearly sunspot numbers. After each year it forecasts the eleven years that follow, about one
solar cycle. Its dropout is variational (Gal & Ghahramani 2016): one mask for each row, the same in all years. The
inference graph has no dropout and gives the forecast. The training graph gives the uncertainty: one call runs copies of
the history, each with its own mask, and their outputs spread where the net is uncertain. The variance that remains is
added as noise, which is measured on separate years.

The years are split by time. 1700 to 1878 train the net and fix the scale, 1879 to 1928 measure the noise, and the last
80 years are the test: they affect neither the training, the scale nor the noise. Their cycles are stronger (at most
190, against 154), which was known in advance: training multiplies its windows by random factors, so that the net learns
shapes independent of their height. The settings were chosen with knowledge of the errors on both later parts, so the
results are slightly optimistic. The baseline is the seasonal naive forecast, which repeats the value of eleven years
before.

The data are `statsmodels.datasets.sunspots`, from the National Geophysical Data Center, in the public domain.
"""

import argparse
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

import rnngraph as rg

UNITS, KEEP_PROB, AHEAD = 32, 0.9, 11
CALIBRATION_YEARS, TEST_YEARS = 50, 80
WINDOW, WARM_UP, BATCH, EPOCHS, LEARNING_RATE, CLIP_NORM = 66, 11, 16, 120, 3e-3, 1.0
STRONGEST = 0.7  # windows are multiplied by exp(u), with u uniform in [-STRONGEST, STRONGEST]
DRAWS, LEVEL = 400, 0.9

Floats = NDArray[np.float64]

# 1. declare
years = rg.placeholder("years", shape=(None, None, 1))
targets = rg.placeholder("targets", shape=(None, None, AHEAD))
cell = rg.DropoutWrapper(
    rg.GRUCell(UNITS), state_keep_prob=KEEP_PROB, output_keep_prob=KEEP_PROB, variational_recurrent=True
)
outputs, _ = rg.dynamic_rnn(cell, years)
forecast = rg.dense(outputs, AHEAD)
loss = rg.mean_squared_error(labels=targets[:, WARM_UP:], predictions=forecast[:, WARM_UP:])

# 2. compile
program = rg.compile({"forecast": forecast}, loss=loss, seed=0)


@dataclass(frozen=True)
class Scale:
    """Scaling to standardised square roots, because the deviation of counts grows with their square root."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, counts: Floats) -> "Scale":
        """Return the scale of the counts of the training years."""
        roots = np.sqrt(counts)
        return cls(float(roots.mean()), float(roots.std()))

    def apply(self, counts: Floats) -> Floats:
        """Convert sunspot numbers to the net's inputs."""
        return (np.sqrt(counts) - self.mean) / self.deviation

    def undo(self, values: NDArray[Any]) -> Floats:
        """Convert the net's outputs to sunspot numbers."""
        return np.maximum(values.astype(np.float64) * self.deviation + self.mean, 0.0) ** 2


def optional(module: str) -> Any:
    """Import a module of the extra `examples`; exit with the installation command if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise SystemExit(f"this needs {package}: pip install '.[examples]'") from None


def read() -> tuple[NDArray[np.int64], Floats]:
    """Return the years and the mean sunspot number of each."""
    table = optional("statsmodels.datasets").sunspots.load_pandas().data
    return table["YEAR"].to_numpy(np.int64), table["SUNACTIVITY"].to_numpy(np.float64)


def following(values: Floats, origins: NDArray[np.int64]) -> Floats:
    """Return the values of the `AHEAD` years after each origin, [origins, AHEAD]."""
    return values[origins[:, None] + np.arange(1, AHEAD + 1)]


def origins_within(first: int, last: int) -> NDArray[np.int64]:
    """Return the forecast origins for which all forecast years have indices from `first` to `last` - 1."""
    return np.arange(first - 1, last - AHEAD)


def train(counts: Floats, scale: Scale, epochs: int, console: Console) -> None:
    """Train on all windows of the counts, each multiplied by a new random factor in every epoch."""
    generator = np.random.default_rng(0)
    trainer = rg.Trainer(program, optimizer=rg.Adam(LEARNING_RATE), clip_norm=CLIP_NORM)
    starts = np.arange(len(counts) - AHEAD - WINDOW + 1)
    for _ in track(range(epochs), "training", console=console, transient=True, disable=not console.is_terminal):
        for rows in np.array_split(generator.permutation(starts), len(starts) // BATCH):
            at = rows[:, None] + np.arange(WINDOW)
            factors = np.exp(generator.uniform(-STRONGEST, STRONGEST, (len(rows), 1)))
            after = np.stack([following(counts, window) for window in at])
            trainer.step(
                years=scale.apply(counts[at] * factors)[..., None], targets=scale.apply(after * factors[..., None])
            )


def draws(values: Floats, count: int, seed: int) -> Floats:
    """Run the history [time] under `count` masks in one call; return the forecasts [draws, time, AHEAD]."""
    history = np.repeat(values[None, :, None], count, axis=0)
    return program.training(years=history, seed=seed)["forecast"].astype(np.float64)


def noise_deviation(drawn: Floats, truth: Floats) -> Floats:
    """Return the standard deviation of the errors that the draws' spread doesn't explain, by year ahead [AHEAD].

    drawn: [draws, origins, AHEAD]; truth: [origins, AHEAD]; both on the net's scale.
    """
    errors = ((drawn.mean(axis=0) - truth) ** 2).mean(axis=0)
    return np.sqrt(np.maximum(errors - drawn.var(axis=0).mean(axis=0), 0.0))


def intervals(drawn: Floats, scale: Scale) -> Floats:
    """Return the ends of the central intervals [2, …] of draws [draws, …], in sunspot numbers."""
    tail = (1 - LEVEL) / 2
    return scale.undo(np.quantile(drawn, [tail, 1 - tail], axis=0))


def root_mean_square(errors: Floats) -> str:
    """Format the root mean square of errors."""
    return f"{np.sqrt((errors**2).mean()):.1f}"


def coverage(ends: Floats, truth: Floats) -> str:
    """Format the share of true values within the intervals."""
    return f"{((ends[0] <= truth) & (truth <= ends[1])).mean():.0%}"


def draw_plot(path: Path, names: NDArray[np.int64], counts: Floats, point: Floats, ends: Floats, first: int) -> None:
    """Plot the test years: above, one-year forecasts; below, forecasts of eleven years from every eleventh origin."""
    figure = optional("matplotlib.figure").Figure(figsize=(9, 6), layout="constrained")
    shown = slice(first - 2 * AHEAD, None)
    above, below = figure.subplots(2, 1, sharex=True)
    for panel in (above, below):
        panel.plot(names[shown], counts[shown], "k.-", linewidth=0.8, label="observed")
        panel.axvline(names[first] - 0.5, color="grey", linestyle=":")
        panel.set_ylabel("sunspot number")
    at = np.arange(first, len(counts)) - 1
    above.plot(names[at] + 1, point[at, 0], "C0", label="forecast a year ahead")
    above.fill_between(names[at] + 1, *ends[:, at, 0], color="C0", alpha=0.2, label=f"{LEVEL:.0%} interval")
    for origin in range(first - 1, len(counts), AHEAD):
        ahead = names[origin] + np.arange(1, AHEAD + 1)
        label = {"label": f"forecast {AHEAD} years ahead"} if origin == first - 1 else {}
        below.plot(ahead, point[origin], "C1", **label)
        below.fill_between(ahead, *ends[:, origin], color="C1", alpha=0.2)
    above.legend(loc="upper left")
    below.legend(loc="upper left")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, evaluate forecasts and intervals on the last 80 years, and forecast beyond the data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--quick", action="store_true", help="a few seconds: few epochs, few draws of masks")
    parser.add_argument("--plot", type=Path, help="a picture to write: .png, .svg or .pdf; needs matplotlib")
    options = parser.parse_args()
    console = Console(highlight=False)
    epochs, count = (2, 50) if options.quick else (options.epochs, DRAWS)

    names, counts = read()
    first = len(counts) - TEST_YEARS
    fitted = first - CALIBRATION_YEARS
    scale = Scale.of(counts[:fitted])
    values = scale.apply(counts)
    console.print(
        f"{names[0]}-{names[fitted - 1]} train, {names[fitted]}-{names[first - 1]} calibrate, "
        f"{names[first]}-{names[-1]} test"
    )
    train(counts[:fitted], scale, epochs, console)

    output = program.inference(years=values[None, :, None])["forecast"]
    point = scale.undo(output[0])
    drawn = draws(values, count, seed=1)
    calibration, test = origins_within(fitted, first), origins_within(first, len(counts))
    deviation = noise_deviation(drawn[:, calibration], following(values, calibration))
    noisy = drawn + deviation * np.random.default_rng(2).standard_normal(drawn.shape)

    next_years = np.arange(first - 1, len(counts) - 1)
    truth, naive = following(counts, test), counts[test[:, None] + np.arange(1, AHEAD + 1) - AHEAD]
    next_truth = counts[next_years + 1]
    table = Table("root mean square error", "1 year ahead", f"1 to {AHEAD} years ahead")
    table.add_row(
        "seasonal naive, 11 years before",
        root_mean_square(counts[next_years + 1 - AHEAD] - next_truth),
        root_mean_square(naive - truth),
    )
    table.add_row(
        "the last year again",
        root_mean_square(counts[next_years] - next_truth),
        root_mean_square(counts[test][:, None] - truth),
    )
    table.add_row(
        "the net's inference graph",
        root_mean_square(point[next_years, 0] - next_truth),
        root_mean_square(point[test] - truth),
    )
    console.print(table)

    table = Table(f"truth within the {LEVEL:.0%} interval", "1 year ahead", f"1 to {AHEAD} years ahead")
    for name, ensemble in ((f"{count} draws of masks", drawn), ("the same with noise", noisy)):
        ends = intervals(ensemble, scale)
        table.add_row(name, coverage(ends[:, next_years, 0], next_truth), coverage(ends[:, test], truth))
    console.print(table)

    stream = program.inference.stream(batch=1)
    stream.process(years=values[None, :first, None])
    steps = np.stack([stream.step(years=values[None, at, None])["forecast"][0] for at in range(first, len(values))])
    same = "the same bits" if steps.tobytes() == output[0, first:].tobytes() else "different bits"
    console.print(f"the test years one by one through a stream: {same}")

    ends = intervals(noisy, scale)
    table = Table("after the data", "forecast", f"{LEVEL:.0%} interval")
    for year, value, (low, high) in zip(names[-1] + 1 + np.arange(AHEAD), point[-1], ends[:, -1].T, strict=True):
        table.add_row(str(year), f"{value:.0f}", f"{low:.0f} to {high:.0f}")
    console.print(table)
    if options.plot is not None:
        draw_plot(options.plot, names, counts, point, ends, first)
        console.print(f"drawn: {options.plot}")


if __name__ == "__main__":
    main()
