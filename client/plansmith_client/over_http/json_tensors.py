"""Tensors as JSON holds them in KServe's protocol: lists of numbers, booleans or texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith_client.datatypes import numpy_dtype

# What JSON has of each kind of NumPy's. A boolean is an int to Python, but no number here.
_ITEMS: dict[str, tuple[type, ...]] = {
    "b": (bool,),
    "i": (int,),
    "u": (int,),
    "O": (str,),
}


def array_of(data: object, datatype: str) -> NDArray[Any]:
    """`data`, a value or nested lists of them, as an array of Triton's `datatype`.

    BYTES are object arrays of str. Nothing is rounded or wrapped around: raises ValueError for
    lists of different lengths, and for items that `datatype` does not hold.
    """
    items = np.array(data, object)
    dtype = numpy_dtype(datatype)
    allowed = _ITEMS.get(dtype.kind, (int, float))
    for item in items.ravel().tolist():
        if not isinstance(item, allowed) or (isinstance(item, bool) and bool not in allowed):
            what = "lists of different lengths" if isinstance(item, list) else repr(item)
            raise ValueError(f"{what} among values of {datatype}")
    if dtype.kind in "iu" and items.size:
        range_ = np.iinfo(dtype)
        for item in (items.min(), items.max()):
            if not range_.min <= item <= range_.max:
                raise ValueError(f"{item} is beyond {datatype}")
    try:
        return items.astype(dtype)
    except OverflowError as error:
        raise ValueError(f"{error} ({datatype})") from error
