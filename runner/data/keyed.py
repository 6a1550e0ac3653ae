"""Seeds from several numbers."""

from __future__ import annotations

_MASK = 2**64 - 1


def mix(*words: int) -> int:
    """Mix integers into one seed of 32 bits.

    Each word is added to the state, which then goes through the finaliser of SplitMix64 (Steele,
    Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). The upper half
    is returned, because torch's CPU generator reads 32 bits of its seed only.

    Args:
        words: non-negative integers, taken modulo 2**64; their order counts.
    """
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 32
