"""One module per command of `signrep`: `add(commands)` adds its arguments, `run(options)` runs it."""
