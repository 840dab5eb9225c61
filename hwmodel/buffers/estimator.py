"""Buffers of the inertial front end and of the back end: doubles, but for the linear solver, whose words are those of `backend.arithmetic`."""

from hwmodel.buffers.record import Buffer, Savings
from hwmodel.chip import Chip
from hwmodel.structure import marginal_size, prior_size, sparse
from hwmodel.widths import FLOAT, index_bits, solver_bits
from vio.config import Config

_STATE = 21  # R (9), p, v, b_g, b_a
_SAMPLE_BITS = 6 * 16 + 32  # two 16-bit triples and a stamp
_ID = 32


def _triangle(n: int) -> int:
    return n * (n + 1) // 2


def inertial_buffers(config: Config, chip: Chip, savings: Savings) -> list[Buffer]:
    """Samples, the running preintegration, and the inertial factors of the window."""
    F, sym = FLOAT, _triangle(9) if savings.structured else 81
    # dt, dR, dv, dp, biases, walk; the attitude does not depend on the accelerometer's bias
    motion, d_bias = 1 + 9 + 3 + 3 + 6 + 2, 45 if savings.structured else 54
    return [
        Buffer("inertial", "imu_fifo", chip.imu_fifo, _SAMPLE_BITS, 2, "samples that wait for a frame's stamp"),
        Buffer("inertial", "preintegration", motion + d_bias + 3 * sym, F, 2, "motion, bias Jacobian, covariance, and two matrices to form F P F^T"),
        Buffer("inertial", "inertial_factors", config.backend.window * (motion + d_bias + sym), F, 1, "backend.window factors of motion, bias Jacobian, information"),
    ]


def graph_buffers(config: Config, chip: Chip, savings: Savings) -> list[Buffer]:
    """Horizon states and what was seen from them."""
    F, keyframes, landmarks = FLOAT, config.backend.window + 1, config.backend.max_landmarks
    seen = 4 * F + 2  # left and right ray, and whether each was seen
    row = _ID + index_bits(keyframes) + 1 + 3 * F
    states = Buffer("horizon", "states", 2 * keyframes * _STATE, F, 2, "estimates and linearisation points of backend.window + 1 keyframes")
    if not savings.sparse_tracks:
        return [
            states,
            Buffer("graph", "landmarks", landmarks, row, 1, "backend.max_landmarks; id, host, ray and inverse depth"),
            Buffer("graph", "track_table", landmarks * keyframes, seen, 1, "a place for every landmark in every keyframe"),
        ]
    depth = config.frontend.max_features * keyframes
    link = index_bits(depth)
    return [
        states,
        Buffer("graph", "landmarks", landmarks, row + link, 1, "backend.max_landmarks; id, host, ray, inverse depth, first observation"),
        Buffer("graph", "observations", depth, seen + link, 1, "at most frontend.max_features a keyframe, backend.window + 1 keyframes; linked by landmark"),
    ]


def solver_buffers(config: Config, chip: Chip, savings: Savings) -> list[Buffer]:
    """The linear system, factorised in place; it is also the scratch of marginalisation and of a step that may be undone."""
    F, S, keyframes = FLOAT, solver_bits(config), config.backend.window + 1
    n = 15 * keyframes
    if savings.structured and savings.unstructured:
        blocks = sparse(keyframes)
        words, why = 6 * blocks.columns + 9 * blocks.below, "lower triangle, blocks that can be non-zero with fill, of backend.window + 1 states of 15"
    elif savings.structured:
        words, why = _triangle(n), "lower triangle of backend.window + 1 states of 15"
    elif savings.unstructured:
        blocks = sparse(keyframes)
        words, why = 9 * (blocks.columns + 2 * blocks.below), "blocks that can be non-zero, both triangles"
    else:
        words, why = n * n, "backend.window + 1 states of 15, every element"
    marginal = marginal_size(config.backend.window)
    tenants = (_triangle(marginal) if savings.structured else marginal * marginal, keyframes * _STATE + 3 * config.backend.max_landmarks)
    # both come when the factor is not needed any more; they stay in full precision
    extra = max(max(tenants) - words * S // F, 0) if savings.shared else sum(tenants)
    prior, order = prior_size(config.backend.window), "triangle" if savings.structured else "square"
    out = [
        Buffer("solver", "linear_system", words, S, 2, why),
        Buffer("solver", "right_side", 2 * n, S, 2, "gradient, and the step it becomes"),
        Buffer("landmark elimination", "landmark_scratch", keyframes * 18 + 12, F, 2, "pose blocks, inverse and gradient of the landmark in work"),
        Buffer("landmark elimination", "host_views", keyframes * (2 * 2 * 12 + 18 + 27), F, 2,
               "for one host, every keyframe that may see it: two views of two cameras, relation, pair block"),
        Buffer("marginalisation", "prior", (_triangle(prior) if savings.structured else prior * prior) + prior, F, 1,
               f"{order} and vector over a state and backend.window - 1 poses"),
        Buffer("refinement", "frame_landmarks", config.frontend.max_features, 3 * F, 1, "positions of the landmarks behind the live features"),
    ]
    if extra:
        out.append(Buffer("shared scratch", "shared_scratch", extra, F, 2, "what marginalisation and the copy of an undone step need beyond the linear system"))
    return out
