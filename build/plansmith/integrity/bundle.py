"""model.sig, read for what it says: which files were signed, with which digests, in whose name.

It is a Sigstore bundle: a DSSE envelope around an in-toto statement whose predicate lists files.
Whether any of it is true only signing.py can tell. Sources: sigstore/protobuf-specs bundle.proto,
secure-systems-lab/dsse envelope.md, and the Payload of OpenSSF's model_signing.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """`digests` are SHA-256 by path in the folder; `certificates` are DER, the signer's first."""

    digests: dict[str, str]
    certificates: tuple[bytes, ...]


def read(content: bytes) -> Bundle:
    """The bundle in `content`. Raises ValueError where it is none, or is not in its one spelling.

    Base64 has several spellings of the same bytes; only the usual one is let through, so that a
    changed file is found even where its meaning stays.
    """
    try:
        bundle = json.loads(content)
        payload = json.loads(_decoded(bundle["dsseEnvelope"]["payload"]))
        for one in bundle["dsseEnvelope"]["signatures"]:
            _decoded(one["sig"])
        chain = bundle["verificationMaterial"].get("x509CertificateChain", {})
        certificates = tuple(_decoded(one["rawBytes"]) for one in chain.get("certificates", ()))
        resources = cast(list[dict[str, Any]], payload["predicate"]["resources"])
        digests = {str(one["name"]): str(one["digest"]) for one in resources}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}") from error
    if len(digests) != len(resources):
        raise ValueError("it names a file twice")
    return Bundle(digests=digests, certificates=certificates)


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if base64.b64encode(content).decode() != text:
        raise ValueError("a value is not in Base64's usual spelling")
    return content
