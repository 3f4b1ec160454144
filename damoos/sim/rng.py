"""Counter-based random numbers for compiled code: the stream depends on (seed, stream, draw) and nothing else.

splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014) over a counter.
A generator is one cell of a uint64 array, so state is a value that can be copied and compared.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .jit import kernel

# As numpy integers: plain ones are literals to numba, which would compile every function once per stream.
MONITOR, SPLIT, WORKLOAD = np.int64(0), np.int64(1), np.int64(2)
"""Streams: sampling of regions, split points, and what the workload does."""
NR_STREAMS = 3

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
_MASK = 2**64 - 1
_TWO_53 = 9007199254740992.0
_INVERSE = np.concatenate([[0.0], 1.0 / np.arange(1, 64)])
_TO_UNIT = 1.0 / _TWO_53


def seed_streams(seed: int, environment: int = 0) -> NDArray[np.uint64]:
    """Start counters, uint64 [NR_STREAMS], of all streams of one simulated run; `seed` and `environment` from 0 on."""
    state = 0
    for part in (environment, *_words(seed)):
        state = _mixed_words(state + part)
    return np.array([_mixed_words(state + 1 + stream) for stream in range(NR_STREAMS)], np.uint64)


def _words(number: int) -> list[int]:
    # The number, 64 bits at a time.
    return [number & _MASK, *(_words(number >> 64) if number >> 64 else ())]


def _mixed_words(word: int) -> int:
    # `mixed` of the next counter value, in Python.
    z = (word + int(GOLDEN)) & _MASK
    z = ((z ^ (z >> 30)) * int(_MIX1)) & _MASK
    z = ((z ^ (z >> 27)) * int(_MIX2)) & _MASK
    return z ^ (z >> 31)


@kernel
def mixed(z):
    """The random number of counter value `z`; loops with many draws go on from counter to counter by `GOLDEN`."""
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@kernel
def next_u64(rng, stream):
    z = rng[stream] + GOLDEN
    rng[stream] = z
    return mixed(z)


@kernel
def unit(word):
    """A float in [0, 1) of a random word."""
    return np.float64(np.int64(word >> _S11)) * _TO_UNIT


@kernel
def uniform(rng, stream):
    """A float in [0, 1)."""
    return unit(next_u64(rng, stream))


@kernel
def below(rng, stream, n):
    """An integer uniform in 0..n-1, n up to 2^53."""
    return np.int64(uniform(rng, stream) * n)


@kernel
def _stirling(k):
    # Remainder of Stirling's series for log(k!), k >= 10 or by table below.
    if k == 0:
        return 0.08106146679532726
    if k == 1:
        return 0.04134069595540929
    if k == 2:
        return 0.02767792568499834
    if k == 3:
        return 0.02079067210376509
    if k == 4:
        return 0.01664469118982119
    if k == 5:
        return 0.01387612882307075
    if k == 6:
        return 0.01189670994589177
    if k == 7:
        return 0.01041126526197209
    if k == 8:
        return 0.009255462182712733
    if k == 9:
        return 0.008330563433362871
    kp1sq = (k + 1.0) * (k + 1.0)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / kp1sq) / kp1sq) / (k + 1)


@kernel
def _binomial_btrd(rng, stream, n, p):
    # Hoermann, The generation of binomial random variates (1993), algorithm BTRD; needs p <= 0.5 and n p >= 10. Most
    # numbers cost one uniform number, most others a short product of ratios of probabilities; few take logarithms.
    deviation = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    vr = 0.92 - 4.2 / b
    v = uniform(rng, stream)
    if v <= 0.86 * vr:
        return _in_the_middle(v / vr - 0.43, n, p, a, b)
    return _beside_the_middle(rng, stream, n, p, v, a, b, vr)


@kernel
def _in_the_middle(u, n, p, a, b):
    return np.int64(math.floor((2.0 * a / (0.5 - abs(u)) + b) * u + n * p + 0.5))


@kernel
def _beside_the_middle(rng, stream, n, p, v, a, b, vr):
    m = math.floor((n + 1) * p)
    odds = p / (1.0 - p)
    scaled = (n + 1) * odds
    variance = n * p * (1.0 - p)
    alpha = (2.83 + 5.1 / b) * math.sqrt(variance)
    while True:
        if v <= 0.86 * vr:
            return _in_the_middle(v / vr - 0.43, n, p, a, b)
        if v >= vr:
            u = uniform(rng, stream) - 0.5
        else:
            u = v / vr - 0.93
            u = (0.5 if u >= 0.0 else -0.5) - u
            v = uniform(rng, stream) * vr
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / max(us, 1e-300) + b) * u + n * p + 0.5)
        if us > 0.0 and 0 <= k <= n and _is_taken(v * (alpha / (a / (us * us) + b)), k, n, m, odds, scaled, variance):
            return np.int64(k)
        v = uniform(rng, stream)


@kernel
def _is_taken(v, k, n, m, odds, scaled, variance):
    # Whether v is below the probability of k over that of the mode m.
    distance = abs(k - m)
    if distance <= 15:
        f = 1.0
        for i in range(m + 1, k + 1):
            f *= scaled / i - odds
        for i in range(k + 1, m + 1):
            v *= scaled / i - odds
        return v <= f
    if v <= 0.0:
        return False
    v = math.log(v)
    rho = (distance / variance) * (((distance / 3.0 + 0.625) * distance + 1.0 / 6.0) / variance + 0.5)
    t = -distance * distance / (2.0 * variance)
    if v < t - rho:
        return True
    if v > t + rho:
        return False
    bound = (
        (m + 0.5) * math.log((m + 1) / (odds * (n - m + 1)))
        + (n + 1) * math.log((n - m + 1) / (n - k + 1))
        + (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
        + _stirling(m)
        + _stirling(n - m)
        - _stirling(k)
        - _stirling(n - k)
    )
    return v <= bound


@kernel
def _power(x, n):
    result = 1.0
    while n > 0:
        if n & 1:
            result *= x
        x *= x
        n >>= 1
    return result


@kernel
def by_inversion(u, n, q):
    """The binomial number that belongs to `u` in [0, 1), by the recurrence of the probabilities; for n q below 10."""
    odds = q / (1.0 - q)
    # can't underflow here
    term = _power(1.0 - q, n) if n < 256 else math.exp(n * math.log1p(-q))
    k = 0
    while u >= term and k < n:
        u -= term
        k += 1
        term *= odds * (n - k + 1) * (_INVERSE[k] if k < 64 else 1.0 / k)
    return k


@kernel
def binomial(rng, stream, n, p):
    """How many of `n` independent trials of probability `p` succeed."""
    if n <= 0 or p <= 0.0:
        return 0
    if p >= 1.0:
        return n
    q = p if p <= 0.5 else 1.0 - p
    if n * q >= 10.0:
        k = _binomial_btrd(rng, stream, n, q)
    else:
        # The probability of none is at least 1 - n q, which often settles it.
        u = uniform(rng, stream)
        k = 0 if u < 1.0 - n * q else by_inversion(u, n, q)
    return k if p <= 0.5 else n - k


@intrinsic
def ones(typing, word):
    """Number of 1 bits in a 64-bit word."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@kernel
def hypergeometric(rng, stream, marked, total, drawn):
    """How many of `marked` among `total` things are in a random subset of `drawn`."""
    if marked <= 0 or drawn <= 0:
        return 0
    if drawn >= total:
        return marked
    if marked >= total:
        return drawn
    # Few draws: one by one. Many: normal with the hypergeometric's mean and variance, within its support; used for
    # cutting extents of thousands of pages, where the difference is below a page in a thousand.
    few = min(marked, drawn)
    if few <= 32:
        other = max(marked, drawn)
        hits = 0
        for i in range(few):
            if uniform(rng, stream) * (total - i) < other - hits:
                hits += 1
        return hits
    mean = drawn * (marked / total)
    variance = mean * (1.0 - marked / total) * ((total - drawn) / (total - 1.0))
    u = max(uniform(rng, stream), 1e-300)
    z = math.sqrt(-2.0 * math.log(u)) * math.cos(6.283185307179586 * uniform(rng, stream))
    hits = np.int64(math.floor(mean + z * math.sqrt(variance) + 0.5))
    lowest = max(0, drawn + marked - total)
    return min(max(hits, lowest), few)
