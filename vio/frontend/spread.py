"""Choice of corners among the scores: peaks, best first, apart from each other, and spread over a grid of cells.

Format and buffers are `CornerFormat` and `CornerWorkspace`.
"""

import numpy as np

from vio.kernels import leaf

_SCORE_SPAN = 1 << 32  # more than any int32 score


@leaf
def _is_near(x, u, rest, frac):
    return ((x << frac) - u) * ((x << frac) - u) < rest


@leaf
def take(u, v, fmt, ws):
    """Mark the pixels nearer than min_distance to (u, v) (raw) and count the feature in its cell."""
    frac = fmt.position_frac
    height, width = ws.taken.shape
    col, row = u >> frac, v >> frac
    if col < 0 or row < 0 or col >= width or row >= height:
        return
    ws.cells[row * fmt.grid_rows // height, col * fmt.grid_cols // width] += 1
    radius2 = (fmt.min_distance << frac) * (fmt.min_distance << frac)
    left, right = col + 1, col  # of the disc in this row; they move on from row to row
    for y in range(row - fmt.min_distance, row + fmt.min_distance + 2):
        rest = radius2 - ((y << frac) - v) * ((y << frac) - v)
        while _is_near(left - 1, u, rest, frac):
            left -= 1
        while left <= col and not _is_near(left, u, rest, frac):
            left += 1
        while _is_near(right + 1, u, rest, frac):
            right += 1
        while right > col and not _is_near(right, u, rest, frac):
            right -= 1
        if 0 <= y < height:
            for x in range(max(left, 0), min(right + 1, width)):
                ws.taken[y, x] = 1


@leaf
def _is_peak(score, row, col):
    """True when no neighbour is larger and no earlier one (row-major) equal."""
    s = score[row, col]
    above, here, below = score[row - 1], score[row], score[row + 1]
    earlier = max(max(above[col - 1], above[col]), max(above[col + 1], here[col - 1]))
    later = max(max(here[col + 1], below[col - 1]), max(below[col], below[col + 1]))
    return s > earlier and s >= later


@leaf
def _peaks_of_row(above, here, below, taken, best):
    """Raise best (n,) to the scores of one row where they are free peaks; above, here, below (n + 2,) begin one column earlier."""
    n = best.shape[0]
    a0, a1, a2, b0, b1, b2 = above[:n], above[1 : n + 1], above[2 : n + 2], below[:n], below[1 : n + 1], below[2 : n + 2]
    left, score, right = here[:n], here[1 : n + 1], here[2 : n + 2]
    for col in range(n):
        earlier, later = max(max(a0[col], a1[col]), max(a2[col], left[col])), max(max(right[col], b0[col]), max(b1[col], b2[col]))
        is_free_peak = (score[col] > earlier) & (score[col] >= later) & (taken[col] == 0)
        best[col] = max(best[col], score[col] if is_free_peak else np.int32(0))


@leaf
def _place(value, top, bottom, left, right, ws):
    """Row-major index of the first free peak of this score in the rows top..bottom - 1 and columns left..right - 1; ws.best has theirs."""
    width = ws.score.shape[1]
    first = ws.score.size
    for col in range(left, right):
        for row in range(top, bottom if ws.best[col] == value else top):
            if ws.score[row, col] == value and ws.taken[row, col] == 0 and _is_peak(ws.score, row, col):
                first = min(first, row * width + col)
    return first


@leaf
def _sink(keys, i, n):
    """Let the key at i sink to its place in a heap of n with the largest key on top."""
    key = keys[i]
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and keys[child + 1] > keys[child]:
            child += 1
        if keys[child] <= key:
            break
        keys[i] = keys[child]
        i = child
    keys[i] = key


@leaf
def _sort(keys, n):
    """Heapsort of the first n keys in place (Williams 1964): numba's quicksort takes six times as long to compile."""
    for i in range(n // 2 - 1, -1, -1):
        _sink(keys, i, n)
    for last in range(n - 1, 0, -1):
        keys[0], keys[last] = keys[last], keys[0]
        _sink(keys, 0, last)


@leaf
def _propose_in_band(top, found, least, fmt, ws):
    """Append the candidates of the blocks whose first row is `top` to the `found` keys; return how many there are then."""
    height, width = ws.score.shape
    first, bottom, across = max(top, fmt.margin), min(top + fmt.block, height - fmt.margin), (width + fmt.block - 1) // fmt.block
    start, end = fmt.margin, width - fmt.margin
    best = ws.best[start:end]
    for col in range(end - start):
        best[col] = 0
    for row in range(first, bottom):
        _peaks_of_row(ws.score[row - 1, start - 1 : end + 1], ws.score[row, start - 1 : end + 1], ws.score[row + 1, start - 1 : end + 1], ws.taken[row, start:end], best)
    for left in range(0, width, fmt.block):
        if ws.visible[top // fmt.block * across + left // fmt.block] == 0:
            continue
        value, a, b = least - 1, max(left, start), min(left + fmt.block, end)
        for col in range(a, b):
            value = max(value, np.int64(ws.best[col]))
        if value >= least:
            ws.keys[found] = (_SCORE_SPAN - value) * (height * width) + _place(value, first, bottom, a, b, ws)
            found += 1
    return found


@leaf
def propose(least, fmt, ws):
    """Sort one candidate per block, its best free peak, into ws.keys, best score first, row-major order among equals; return their number."""
    found = 0
    for top in range(0, ws.score.shape[0], fmt.block):
        found = _propose_in_band(top, found, least, fmt, ws)
    _sort(ws.keys, found)
    return found


@leaf
def choose(found, room, fmt, ws, uv_out):
    """Accept candidates best first while their cell holds fewer than `quota` features; raise the quota until full."""
    height, width = ws.score.shape
    chosen, quota = 0, 1
    while found > 0 and chosen < room:
        waiting = 0
        for i in range(found):
            where = ws.keys[i] % (height * width)
            row, col = where // width, where % width
            if ws.taken[row, col] or chosen == room:
                continue
            if ws.cells[row * fmt.grid_rows // height, col * fmt.grid_cols // width] >= quota:
                ws.keys[waiting] = ws.keys[i]
                waiting += 1
                continue
            uv_out[chosen, 0], uv_out[chosen, 1] = col << fmt.position_frac, row << fmt.position_frac
            take(col << fmt.position_frac, row << fmt.position_frac, fmt, ws)
            chosen += 1
        found, quota = waiting, quota + 1
    return chosen
