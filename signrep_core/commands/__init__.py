"""One module per command of `signrep`: `add(commands)` says what it takes, `run(options)` does it."""
