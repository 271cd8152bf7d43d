#===- sampling.py - What tests of kernel.sample share ---------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""The definition of kernel.sample in float64, and cases that every target must get right.

A draw that lies within ROUNDING of the border between two tokens may go to either: `allowed` gives the tokens that a
draw may give. Sums that are exact, as those of equal logits, leave no choice, and are tested with ROUNDING 0.
"""

import numpy as np

ROUNDING = 2e-6  # of weights in f32, and of those below 2^-40 that are left out


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011)."""
    for step in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & 0xFFFFFFFF, (a >> 32) ^ counter[3] ^ key[1], a & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def uniform(seed, index, row):
    low = 0xFFFFFFFF
    words = philox([index & low, index >> 32, row, 2], [seed & low, seed >> 32])
    return ((words[0] << 32 | words[1]) >> 11) / 2.0**53


def draw(logits, temperature, top_k, top_p, u):
    if np.isnan(logits).any():
        return -1
    order = np.argsort(-logits, kind="stable")
    if temperature == 0:
        return order[0]
    if top_k > 0:
        order = order[:top_k]
    with np.errstate(invalid="ignore"):
        weights = np.where(logits[order] == logits[order[0]], 1, np.exp((logits[order] - logits[order[0]]) / temperature))
    sums = np.cumsum(weights)
    if top_p < 1:
        sums = sums[:np.searchsorted(sums, top_p * sums[-1]) + 1]
    return order[min(np.searchsorted(sums, u * sums[-1], side="right"), len(sums) - 1)]


def allowed(logits, temperature, top_k, top_p, u, rounding=ROUNDING):
    logits = logits.astype(np.float64)
    around = {-rounding, 0.0, rounding}
    return {draw(logits, temperature, top_k, top_p * (1 + a) if top_p < 1 else 1, min(max(u + b, 0), 1))
            for a in around for b in around}


def check(run, what, logits, temperature=1.0, top_k=0, top_p=1.0, seed=1, draws=8, rounding=ROUNDING):
    """`run(logits, temperature, top_k, top_p, seed, index)` gives the outputs token and next; rows are the first
    dimension. Returns the tokens, [draws, rows]."""
    tokens = []
    for index in range(draws):
        token, following = run(logits, temperature, top_k, top_p, seed, index)
        if token is None:
            return None
        for row in range(len(logits)):
            wanted = allowed(logits[row], temperature, top_k, top_p, uniform(seed, index, row), rounding)
            assert token[row] in wanted, "%s: draw %d of row %d is %d, not one of %s" % (what, index, row, token[row], wanted)
            assert following[row] == max(token[row], 0), what
        tokens.append(token.copy())
    return np.array(tokens)


def check_cases(run, columns, draws=8, many=True):
    """All that a row of so many columns can bring."""
    random = np.random.default_rng(columns)
    rows = 3 if many else 1
    normal = (random.standard_normal((rows, columns)) * 3 + 5).astype(np.float32)
    equal, few = np.full((rows, columns), -1.5, np.float32), np.full((rows, columns), -np.inf, np.float32)
    few[:, columns // 3] = few[:, columns - 1] = 2
    ties = np.round(normal)  # a dozen values
    signs = np.where(random.random((rows, columns)) < 0.5, np.float32(0.0), np.float32(-0.0))
    for temperature, top_k, top_p in [(1, 0, 1), (0.8, 0, 0.9), (1, 3, 1), (1.3, 5, 0.5), (0.7, columns, 1),
                                      (2, columns + 9, 0.99), (1, 0, 1e-9), (1, 1, 1), (30, 0, 1), (1e30, 0, 1), (1e-3, 0, 1),
                                      (1e-42, 0, 1)]:
        check(run, "normal %s" % ((columns, temperature, top_k, top_p),), normal, temperature, top_k, top_p, draws=draws)
    for what, logits in [("normal", normal), ("ties", ties), ("equal", equal), ("few", few), ("signs", signs)]:
        first = check(run, "%s %d greedy" % (what, columns), logits, 0.0, draws=1)
        if first is not None:
            assert (first[0] == logits.argmax(-1)).all(), what
    for top_k, top_p in [(0, 1), (0, 0.5), (2, 1)]:
        for what, logits in [("equal", equal), ("few", few), ("signs", signs)]:
            check(run, "%s %s" % (what, (columns, top_k, top_p)), logits, 1.0, top_k, top_p, draws=draws, rounding=0)
        check(run, "ties %s" % ((columns, top_k, top_p),), ties, 1.0, top_k, top_p, draws=draws)
    for value in (np.inf, -np.inf):  # equal ones, whatever the difference of infinities is
        check(run, "%s %d" % (value, columns), np.full((rows, columns), value, np.float32), draws=draws, rounding=0)
    broken = normal.copy()
    broken[0, columns // 2] = np.nan
    for temperature in (0.0, 1.0):
        check(run, "a NaN, %d, %s" % (columns, temperature), broken, temperature, draws=1)


def check_distribution(run, draws):
    """Chi-square of draws against the probabilities: rows are independent draws."""
    logits = np.log(np.array([0.05, 0.3, 0.1, 0.25, 0.02, 0.28], np.float64)).astype(np.float32)
    rows = np.tile(logits, (64, 1))
    for temperature, top_k, top_p in [(1, 0, 1), (0.5, 0, 1), (1, 3, 1), (1, 0, 0.8)]:
        counts = np.zeros(6)
        for index in range(draws // 64):
            token, _ = run(rows, temperature, top_k, top_p, 2**63 + 11, index)
            if token is None:
                return
            counts += np.bincount(token, minlength=6)
        p = np.exp(logits.astype(np.float64) / temperature)
        order = np.argsort(-p)
        p[order[top_k or 6:]] = 0
        p /= p.sum()
        if top_p < 1:
            p[order[np.searchsorted(np.cumsum(p[order]), top_p) + 1:]] = 0
        p /= p.sum()
        assert counts[p == 0].sum() == 0, (temperature, top_k, top_p, counts)
        kept = p > 0
        square = ((counts[kept] - p[kept] * counts.sum()) ** 2 / (p[kept] * counts.sum())).sum()
        # Of a thousand seeds one gives more with 5 degrees of freedom; ours are fixed.
        assert square < 20.5, (temperature, top_k, top_p, square, counts)
