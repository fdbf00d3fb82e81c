"""`convert`: a released checkpoint to weights that SignRep.load and pretraining read."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "convert",
        help="a released checkpoint to weights that SignRep.load and pretraining read",
        epilog="example: signrep convert mae_hiera_base_16x224.pth --out hiera.safetensors",
    )
    parser.add_argument("checkpoint", type=Path, help="the SignRep release or Meta's mae_hiera_base_16x224")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Convert one checkpoint."""
    from signrep_core.model.convert import convert_checkpoint

    convert_checkpoint(options.checkpoint, options.out)
