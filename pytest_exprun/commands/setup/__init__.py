"""What `exprun init` proposes: a training script, or the command that starts it, in; ini keys, a patch and the next commands out."""
