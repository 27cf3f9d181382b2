"""Noise."""


def noise(generator):
    """Return what a seed adds."""
    return generator.gauss(0, 0.01)
