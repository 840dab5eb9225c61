"""Word lengths as plain integers: what the datapaths and buffers of the model are built from."""

from vio.config import Config


def float_bits(config: Config) -> int:
    """Width of the back end's numbers: 64, 32, or mantissa plus 11 bits of exponent and a sign (mN has N explicit bits)."""
    arithmetic = config.backend.arithmetic
    if arithmetic.startswith("m"):
        return int(arithmetic.removeprefix("m")) + 12
    return {"float64": 64, "float32": 32}[arithmetic]


def index_bits(count: int) -> int:
    """Bits that tell `count` things apart."""
    return max(1, (count - 1).bit_length())
