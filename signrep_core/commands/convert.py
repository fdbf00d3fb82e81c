"""`convert`: convert a released checkpoint to weights that SignRep.load and pretraining read."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "convert",
        help="convert a released checkpoint to weights that SignRep.load and pretraining read",
        epilog="example: signrep convert mae_hiera_base_16x224.pth --out hiera.safetensors",
    )
    parser.add_argument("checkpoint", type=Path, help="the SignRep release or Meta's mae_hiera_base_16x224")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--verbose", action="store_true", help="list every key with its new name and shape")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Convert one checkpoint and print what matched."""
    from signrep_core.model.convert import LICENCE, convert_checkpoint, list_keys, summarise_conversion

    conversion = convert_checkpoint(options.checkpoint, options.out)
    if options.verbose:
        print(list_keys(conversion))
    print(f"{options.checkpoint}: {len(conversion.renamed)} of {len(conversion.shapes)} weights converted")
    print(summarise_conversion(conversion))
    print(f"licence: {LICENCE}")
    print(options.out)
