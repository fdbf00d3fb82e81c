"""`synthesize`: render a corpus of procedural signers with its sheet and true joints."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "synthesize",
        help="render a corpus of procedural signers with its sheet and true joints",
        epilog="example: signrep synthesize --signers 6 --glosses 10 --takes 2 --out synthetic",
    )
    parser.add_argument("--signers", type=int, default=6, help="people (default: 6)")
    parser.add_argument("--glosses", type=int, default=6, help="different signs (default: 6)")
    parser.add_argument("--takes", type=int, default=1, help="performances per signer and sign (default: 1)")
    parser.add_argument("--size", type=int, default=320, help="frame side in pixels (default: 320)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same corpus (default: 0)")
    parser.add_argument("--kind", choices=("isolated", "pretraining", "sentences"), default="isolated")
    parser.add_argument("--processes", type=int, default=2, help="videos rendered at a time (default: 2)")
    parser.add_argument("--device", help="torch device to render on in batches, for example cuda (default: numpy)")
    parser.add_argument("--out", type=Path, required=True, help="folder for videos.tsv, videos/ and truth.parquet")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Render the corpus."""
    from signrep_core.synthetic.corpus import plan_corpus, write_corpus

    plan = plan_corpus(
        signers=options.signers,
        glosses=options.glosses,
        takes=options.takes,
        seed=options.seed,
        size=options.size,
        kind=options.kind,
    )
    write_corpus(options.out, plan, options.processes, options.device)
