"""Compare the times of rnngraph, of its peers, and of the floor (the minimum time on this machine).

    python benchmarks/run.py [--only GROUP] [--rounds N] [--target NAME] [--json FILE] [--csv FOLDER] [--picture FILE]
                             [ROW …]

Groups: inference, cells, reduced, sparse, quantized, convolutions, pictures, training, products, onestep, few-units,
threads, lengths, step, calls, pools, profile, compile, memory, recompute, recurrences, large, engines, sweep; without
--only, all except threads, large, engines and sweep. ROW: only rows whose name contains one of these. --target:
measures inference, cells, training and onestep (code, floor and peers) for a processor with fewer features, such as
x86-64-v3; onnxruntime and tract always use all features. All groups except threads run on one pinned core. Peers with
different results are left out with a warning. Each round measures the machine's limits and every contender in turn.
Shared machines change their speed from second to second, so ratios are computed within a round; tables show medians.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import machine
import peers
from groups import GROUPS, Options
from picture import draw, draw_engines, engines_of
from report import MISSING, append, headlines, print_tables, read, records, write_tables
from rich.console import Console

ROUNDS = 9
ON_REQUEST = ("sweep", "threads", "engines", "large")
"""Groups that run only if ``--only`` names them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only rows whose name contains one of these")
    parser.add_argument("--only", choices=[group.name for group in GROUPS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--target", help="the processor for which code is compiled (default: this one)")
    parser.add_argument("--json", type=Path, help="append the results to this file")
    parser.add_argument("--read", type=Path, help="measure nothing; show the results in this file")
    parser.add_argument("--csv", type=Path, metavar="FOLDER", help="write each table to a file there")
    parser.add_argument("--picture", type=Path, help="draw the sweep, or engines (.png, .svg, …); needs matplotlib")
    parser.add_argument(
        "--peers", default=",".join(peers.NAMES), help="names of peers, separated by commas; llama.cpp: --only large"
    )
    parser.add_argument("--torch-compile", action="store_true", help="also measure torch.compile, for minutes")
    parser.add_argument("--threads", type=int, default=2, help="threads in the group threads; other groups use one")
    options = parser.parse_args()
    runs = read(options.read) if options.read else [_measured(options)]
    console = Console(width=400 if not os.isatty(1) else None)
    for line in headlines(runs):
        console.print(line, soft_wrap=True)
    print_tables(runs, console)
    if options.json and not options.read:
        append(options.json, runs[-1])
    if options.csv:
        write_tables(runs, options.csv)
    if options.picture:
        by_name = {group.name: records(runs, group) for group in GROUPS}
        if by_name["sweep"]:
            draw(by_name["sweep"], options.picture)
        else:
            draw_engines(engines_of(by_name["engines"]), options.picture)


def _measured(options: argparse.Namespace) -> dict[str, object]:
    threads = options.threads if options.only == "threads" else 1
    if hasattr(os, "sched_setaffinity"):  # before the peers are imported, which count cores then
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    wanted = [name for name in options.peers.split(",") if name]
    machine.TARGET = options.target
    target = machine.target()
    available = peers.installed(wanted, threads, wide=target.vector_bits > 256)
    asked = Options(options.rows, options.rounds, available, options.torch_compile, threads)
    chosen = [group for group in GROUPS if group.name == (options.only or group.name)]
    if options.only is None:
        chosen = [group for group in chosen if group.name not in ON_REQUEST]
    missing = {name: MISSING for name in wanted if name not in available}
    return {
        "machine": f"{target.processor}, {target.vector_bits}-bit vectors",
        "limits": vars(machine.limits()),
        "versions": {name: peer.VERSION for name, peer in available.items()} | missing,
        "rounds": options.rounds,
        "records": {group.name: list(group.records(asked)) for group in chosen},
    }


if __name__ == "__main__":
    main()
