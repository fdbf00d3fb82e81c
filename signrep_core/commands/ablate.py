"""`ablate`: what each part of the objective is worth, on one's own shards."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "ablate",
        help="train with more and more of the objective and compare retrieval, as in the paper's ablation",
        epilog="example: signrep ablate --shards results/shards --out results/ablation --seeds 3",
    )
    parser.add_argument("--shards", type=Path, required=True, help="folder of packed shards with labelled splits")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; what is finished there is kept")
    parser.add_argument("--configfile", help="YAML with the sections that differ from the defaults")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each kind (default: 1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, compare and print the table."""
    from signrep_core.config import Config, load_config_file
    from signrep_core.store.files import write_text
    from signrep_core.train.ablation import ablate, format_table
    from signrep_core.train.step import PretrainSettings

    config = load_config_file(options.configfile) if options.configfile else Config()
    settings = PretrainSettings.from_config(config.pretrain, config.seed)
    seeds = range(config.seed, config.seed + options.seeds)
    table = format_table(ablate(options.shards, options.out, settings, seeds, workers=config.pretrain.workers))
    write_text(options.out / "ablation.md", table + "\n")
    print(table)
