"""Choice of corners among the scores: peaks, best first, apart from each other, and spread over a grid of cells.

Format and buffers are `CornerFormat` and `CornerWorkspace`.
"""

import numpy as np

from vio.kernels import njit

_SCORE_SPAN = 1 << 32  # more than any int32 score


@njit
def take(u, v, fmt, ws):
    """Mark the pixels nearer than min_distance to (u, v) (raw) and count the feature in its cell."""
    frac = fmt.position_frac
    height, width = ws.taken.shape
    col, row = u >> frac, v >> frac
    if col < 0 or row < 0 or col >= width or row >= height:
        return
    ws.cells[row * fmt.grid_rows // height, col * fmt.grid_cols // width] += 1
    reach = fmt.min_distance
    radius2 = (reach << frac) * (reach << frac)
    for y in range(max(row - reach, 0), min(row + reach + 2, height)):
        dy = (y << frac) - v
        for x in range(max(col - reach, 0), min(col + reach + 2, width)):
            dx = (x << frac) - u
            if dx * dx + dy * dy < radius2:
                ws.taken[y, x] = 1


@njit
def _is_peak(score, row, col):
    """True when no neighbour is larger and no earlier one (row-major) equal."""
    s = score[row, col]
    above, here, below = score[row - 1], score[row], score[row + 1]
    earlier = max(max(above[col - 1], above[col]), max(above[col + 1], here[col - 1]))
    later = max(max(here[col + 1], below[col - 1]), max(below[col], below[col + 1]))
    return s > earlier and s >= later


@njit
def _best_of_block(top, left, least, fmt, ws):
    """Row-major index of the best free peak scoring at least `least` in one block, or -1."""
    height, width = ws.score.shape
    best, where = least - 1, -1
    for row in range(max(top, fmt.margin), min(top + fmt.block, height - fmt.margin)):
        for col in range(max(left, fmt.margin), min(left + fmt.block, width - fmt.margin)):
            score = ws.score[row, col]
            if score > best and ws.taken[row, col] == 0 and _is_peak(ws.score, row, col):
                best, where = np.int64(score), row * width + col
    return where


@njit
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


@njit
def _sort(keys, n):
    """Heapsort of the first n keys in place (Williams 1964): numba's quicksort takes six times as long to compile."""
    for i in range(n // 2 - 1, -1, -1):
        _sink(keys, i, n)
    for last in range(n - 1, 0, -1):
        keys[0], keys[last] = keys[last], keys[0]
        _sink(keys, 0, last)


@njit
def propose(least, fmt, ws):
    """Sort one candidate per block into ws.keys, best score first, row-major order among equals; return their number."""
    height, width = ws.score.shape
    found, across = 0, (width + fmt.block - 1) // fmt.block
    for top in range(0, height, fmt.block):
        for left in range(0, width, fmt.block):
            if ws.visible[top // fmt.block * across + left // fmt.block] == 0:
                continue
            where = _best_of_block(top, left, least, fmt, ws)
            if where >= 0:
                ws.keys[found] = (_SCORE_SPAN - ws.score[where // width, where % width]) * (height * width) + where
                found += 1
    _sort(ws.keys, found)
    return found


@njit
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
