"""Seeds of epochs and steps."""


def mix(seed: int, number: int, salt: int) -> int:
    """Return 63 well-mixed bits for a seed and a number, so that every epoch and step has a seed of its own."""
    z = (seed + 0x9E3779B97F4A7C15 * (number + 1) + (salt << 32)) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF
