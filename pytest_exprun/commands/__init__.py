"""The subcommands of `exprun`, one module each: `run(settings, arguments, console) -> exit status`."""
