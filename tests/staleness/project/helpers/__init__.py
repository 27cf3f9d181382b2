"""What the trainer is made of."""

SCALE = 0.5
