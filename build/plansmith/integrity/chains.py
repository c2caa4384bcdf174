"""Chains of X.509 certificates, from PEM files: each issued by the next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.errors import UnusableInput

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def read_pem(file: Path) -> list[Certificate]:
    """The certificates in `file`, one at least; raises UnusableInput where there is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise UnusableInput(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnusableInput(f"{file}: is no certificate in PEM (BEGIN CERTIFICATE)") from error


def read_der(certificates: Sequence[bytes]) -> list[Certificate]:
    """The certificates; none at all where one is none, or not in its usual spelling."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        found = [x509.load_der_x509_certificate(one) for one in certificates]
        # It ends in its signature: a string of bits, of which none are said to be unused.
        usual = all(
            der.endswith(b"\0" + one.signature)
            for der, one in zip(certificates, found, strict=True)
        )
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm):
        return []
    return found if usual else []


def is_chain(chain: Sequence[Certificate], trusted: Sequence[Certificate] = ()) -> bool:
    """Whether each was issued by the next, and the last by itself or by one that is trusted.

    False for none at all.
    """
    if not chain:
        return False
    return all(_issued(one, by) for one, by in pairwise(chain)) and any(
        _issued(chain[-1], by) for by in (chain[-1], *trusted)
    )


def _issued(one: Certificate, by: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        one.verify_directly_issued_by(by)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
