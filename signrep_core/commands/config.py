"""`config`: print every key with its default, or what a configuration changes in the paper's run."""

import argparse
import sys


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "config",
        help="print every key with its default, or what a configuration changes in the paper's run",
        epilog="examples:\n  signrep config\n  signrep config --against paper --configfile my.yaml",
    )
    parser.add_argument(
        "--format", choices=("yaml", "markdown"), default="yaml", help="YAML, or the text of docs/configuration.md"
    )
    parser.add_argument("--against", choices=("paper",), help="print the keys whose value is not the paper's run's")
    parser.add_argument(
        "--configfile", help="YAML to compare, over config.yaml as in the workflow (default: config.yaml alone)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the defaults, or the comparison."""
    from signrep_core.config import compare_with_paper, reference_page, reference_yaml, workflow_config

    config = workflow_config(options.configfile)
    if options.against:
        print(compare_with_paper(config) or "every value is that of the paper's run")
    else:
        sys.stdout.write(reference_yaml() if options.format == "yaml" else reference_page(config))
