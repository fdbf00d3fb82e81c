"""`ablate`: train with more and more parts of the objective, and compare retrieval."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "ablate",
        help="train with more and more of the objective and compare retrieval, as in the paper's ablation",
        epilog="example: signrep ablate --shards results/shards --out results/ablation --seeds 3 "
        "--configfile configs/ablation.yaml",
    )
    parser.add_argument("--shards", type=Path, required=True, help="folder of packed shards with labelled splits")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; finished runs there are kept")
    parser.add_argument("--configfile", help="YAML with the values that depart from the paper's (default: none)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each kind (default: 1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, compare and print the table."""
    from signrep_core.config import Config, load_config_file
    from signrep_core.store.files import write_text
    from signrep_core.train.ablation import ablate, format_table

    config = load_config_file(options.configfile) if options.configfile else Config()
    seeds = range(config.seed, config.seed + options.seeds)
    table = format_table(ablate(options.shards, options.out, config.pretrain, seeds))
    write_text(options.out / "ablation.md", table + "\n")
    print(table)
