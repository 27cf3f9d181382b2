"""What `exprun` can do, a module for each command with a function `run(settings, arguments, console)`."""
