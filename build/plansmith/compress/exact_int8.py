"""Whether this CPU multiplies 8-bit numbers without losing any of the sum."""

from __future__ import annotations

from pathlib import Path

# Flags of /proc/cpuinfo that stand for exact 8-bit products.
EXACT_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def has_exact_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU adds up 8-bit products without overflow; False where it does not say.

    x86 CPUs without VNNI or AMX add pairs of products into 16 bits, which overflow with full-range
    weights (OpenVINO docs, "Saturation (overflow) issue workaround"). For them half the range is
    used, which costs one bit of each weight; such a model is right on every CPU.
    """
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return bool(lines) and not EXACT_INT8_FLAGS.isdisjoint(lines[0].split())
