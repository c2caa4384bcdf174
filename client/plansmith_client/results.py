"""What a model answered: its outputs by name, and as attributes."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray


class Result(dict[str, NDArray[Any]]):
    """The outputs of one answer: `result["scores"]` or `result.scores`.

    An output with the name of a method of dict, such as "values", is only reached by `[...]`.
    The arrays are read-only and lie over the answer's bytes (`.copy()` to write); those of BYTES
    are writable object arrays of bytes.
    """

    def __getattr__(self, name: str) -> NDArray[Any]:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self) or "none"
            raise AttributeError(f"no output {name!r}; there are: {known}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        """Such as `Result(scores: float32[1, 1000])`: never the values."""
        outputs = (f"{name}: {one.dtype}{list(one.shape)}" for name, one in self.items())
        return f"{type(self).__name__}({', '.join(outputs)})"


# What calling a model gives: the array if it has one output, else a Result. Which of them no type
# checker can know; `infer` always gives a Result.
Answer: TypeAlias = Any
