"""`pretrain`: train on packed shards, or continue a stopped run."""

import argparse
import sys
from pathlib import Path

from signrep_core.commands._devices import add_devices


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "pretrain",
        help="train on packed shards, or continue a stopped run",
        epilog="example: signrep pretrain --shards shards --out pretrain/my_run --configfile configs/paper.yaml",
    )
    parser.add_argument("--shards", type=Path, required=True, help="folder of packed shards")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--configfile", help="YAML with the values that depart from the paper's (default: none)")
    parser.add_argument(
        "--validation-shards", type=Path, help="shards with the data set of pretrain.validation (default: --shards)"
    )
    add_devices(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, or continue a stopped run."""
    from signrep_core.config import Config, load_config_file
    from signrep_core.store.job import open_job
    from signrep_core.train.launch import Devices
    from signrep_core.train.loop import RunSetup
    from signrep_core.train.pretrain import pretrain

    config = load_config_file(options.configfile) if options.configfile else Config()
    start = config.pretrain.find_start()
    with open_job(
        [options.out / "best.safetensors", options.out / "metrics.csv"],
        {
            "start": [start] if start else [],
            "index": [options.shards / "index.parquet"],
            "info": [options.shards / "info.json"],
        },
        command=options.command,
        params={"pretrain": config.pretrain.model_dump(), "seed": config.seed},
        config=config,
    ) as job:
        devices = Devices(count=options.devices, nodes=options.nodes)
        setup = RunSetup(options.out, config.seed, devices, job.provenance)
        result = pretrain(options.shards, config.pretrain, setup, options.validation_shards)
        if not result.finished:
            sys.exit(0)  # stopped by SIGTERM: its state is saved
