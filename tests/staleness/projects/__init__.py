"""Projects as people have them, each with changes; what a change does is found out by training."""
