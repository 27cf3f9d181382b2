"""The learning rate over time."""

PEAK = 0.2
FLOOR = 0.02
DECAY_FROM = 0.8


def learning_rate(step, steps, warmup):
    """Warm up, stay, and decay over the last fifth."""
    if step < warmup:
        return PEAK * (step + 1) / warmup
    progress = step / steps
    if progress >= DECAY_FROM:
        return PEAK - (PEAK - FLOOR) * (progress - DECAY_FROM) / (1 - DECAY_FROM)
    return PEAK
