"""Signatures of versions with OpenSSF's model-signing: made and checked with keys from files.

A version's signature is <version>/model.sig and covers every other file of that folder. All is
done offline, with files: nothing of Sigstore's services is asked. `model_signing sign key` and
`model_signing verify key` make and read the same files.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from plansmith.engines.integrity import Fault
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.integrity import bundle, chains

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from model_signing import hashing, signing, verifying

SIGNATURE_FILE = "model.sig"
CURVES = "P-256, P-384 or P-521"
# What model_signing calls the one ValueError by which it tells that files are not as signed.
_MISMATCH = "Signature mismatch:"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """PEM files: an EC private key, and the certificate of its public key with the issuers of it.

    Without a certificate, verifying takes the public key. `passphrase` is the private key's.
    """

    private_key: Path
    passphrase: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trust:
    """PEM files, one or the other: a public key, or root certificates that signers descend from."""

    public_key: Path | None = None
    certificates: tuple[Path, ...] = ()


def is_encrypted(private_key: Path) -> bool:
    """Whether the PEM file needs a passphrase; raises UnusableInput where it cannot be read."""
    try:
        # PKCS #8's label, or the header of the older EC keys.
        return b"ENCRYPTED" in private_key.read_bytes()
    except OSError as error:
        raise UnusableInput(f"{private_key}: cannot be read: {error.strerror}") from error


class Signing:
    """A signer whose key and certificates have been read; `sign` as many versions as you like."""

    def __init__(self, signer: Signer) -> None:
        """Raises UnusableInput where a file is missing, is something else or does not fit."""
        with _quiet():
            from model_signing import signing

            self._config: signing.Config = signing.Config()
            if signer.certificate is None:
                # Its annotation says str; cryptography, which it is handed to, takes bytes.
                given = cast(Any, signer.passphrase.encode() if signer.passphrase else None)
                with _key_errors(signer.private_key):
                    self._config.use_elliptic_key_signer(
                        private_key=signer.private_key, password=given
                    )
            else:
                _check_certificate(signer, signer.certificate)
                with _key_errors(signer.private_key):
                    self._config.use_certificate_signer(
                        private_key=signer.private_key,
                        signing_certificate=signer.certificate,
                        certificate_chain=signer.chain,
                    )

    def sign(self, folder: Path) -> Path:
        """Writes the signature of the version in `folder`, at once; raises PlansmithError.

        Whether the version is as it was published is for the caller to look at before.
        """
        try:
            # Beside the version, not in it: what is left of a killed run is swept by a build.
            handle, name = tempfile.mkstemp(prefix=".unfinished-", dir=folder.parent)
            unfinished = Path(name)
            try:
                with os.fdopen(handle, "r+b") as file, _quiet():
                    self._config.set_hashing_config(_hashing())
                    self._config.sign(folder, unfinished)
                    os.fsync(file.fileno())
                unfinished.chmod(0o644)
                return unfinished.replace(folder / SIGNATURE_FILE)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise PlansmithError(
                f"{error.filename or folder}: {error.strerror}; {folder} was not signed; free "
                "space or fix the permissions, then sign again"
            ) from error


class Verifying:
    """A trust whose files have been read; asks as many versions as you like."""

    def __init__(self, trust: Trust) -> None:
        """Raises UnusableInput where a file is missing or is something else."""
        with _quiet():
            from model_signing import verifying

            self._config: verifying.Config = verifying.Config()
            self._trusted: tuple[Certificate, ...] | None = None
            if trust.public_key is not None:
                with _key_errors(trust.public_key):
                    self._config.use_elliptic_key_verifier(public_key=trust.public_key)
                return
            self._trusted = tuple(
                one for file in trust.certificates for one in chains.read_pem(file)
            )
            self._config.use_certificate_verifier(certificate_chain=trust.certificates)

    def faults(self, folder: Path, known: Mapping[str, str] | None = None) -> tuple[Fault, ...]:
        """What is wrong with the signature of `folder`, which has one, or not as it was signed.

        `known` are SHA-256 of files of `folder`, by path there, that need not be read again.
        Raises OSError where a file cannot be read.
        """
        path = folder / SIGNATURE_FILE
        content = path.read_bytes()
        try:
            said = bundle.read(content)
        except ValueError as error:
            message = f"is no signature, or has been changed: {error}; sign the version again"
            return (Fault(file=SIGNATURE_FILE, message=message),)
        refused = self._refusal(folder, path) or self._chain_fault(said)
        if refused is not None:
            return (Fault(file=SIGNATURE_FILE, message=refused),)
        return _unlike(folder, said.digests, known or {})

    def _refusal(self, folder: Path, path: Path) -> str | None:
        """Why the signature does not hold; None where it does, whether for these files or not."""
        with _quiet():
            from cryptography.exceptions import InvalidSignature

            # A new one each time: what a signature says is to be left out is added to it. No file
            # is hashed here: _unlike looks at all of them.
            self._config.set_hashing_config(_hashing(left_out="."))
            try:
                self._config.verify(folder, path)
            except OSError:
                raise
            except InvalidSignature:
                return "is not a signature by this key, or has been changed; sign the version again"
            except Exception as error:  # whatever a malformed one makes a parser raise
                if str(error).startswith(_MISMATCH):
                    return None
                detail = " ".join(str(error).split()) or type(error).__name__
                return f"is not accepted: {detail.rstrip('. ')[:200]}; sign the version again"
        return None

    def _chain_fault(self, said: bundle.Bundle) -> str | None:
        """model_signing looks for a way to a root, and at no certificate that it does not need."""
        if self._trusted is None:
            return None
        with _quiet():
            if chains.is_chain(chains.read_der(said.certificates), self._trusted):
                return None
        return "has a certificate that does not belong to its chain; sign the version again"


def _unlike(
    folder: Path, digests: Mapping[str, str], known: Mapping[str, str]
) -> tuple[Fault, ...]:
    """Every file of `folder` that is not as an authentic signature says."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != SIGNATURE_FILE:
            found[name] = known.get(name) or _sha256(path)
    messages = {name: "is missing, but was signed" for name in digests.keys() - found.keys()}
    messages |= {name: "is not signed" for name in found.keys() - digests.keys()}
    messages |= {
        name: "has been changed since it was signed"
        for name in found.keys() & digests.keys()
        if found[name] != digests[name]
    }
    return tuple(
        Fault(file=name, message=f"{what}; build or copy the version again")
        for name, what in sorted(messages.items())
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashing(left_out: str = SIGNATURE_FILE) -> hashing.Config:
    """Every file but what is `left_out`; by default model_signing leaves out Git's, too."""
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[left_out], ignore_git_paths=False)


def _check_certificate(signer: Signer, certificate: Path) -> None:
    if is_encrypted(signer.private_key):
        raise UnusableInput(
            f"{signer.private_key}: is encrypted, which model-signing cannot read together with a "
            "certificate; decrypt it for signing: openssl pkey -in FILE -out DECRYPTED"
        )
    issuers = [one for file in signer.chain for one in chains.read_pem(file)]
    if not issuers or not chains.is_chain([chains.read_pem(certificate)[0], *issuers]):
        raise UnusableInput(
            f"{certificate}: --certificate-chain must give its issuer, then each issuer's issuer, "
            "up to the root"
        )


@contextmanager
def _key_errors(file: Path) -> Generator[None, None, None]:
    """What is wrong with a key, as a user's mistake; never a word of the key itself."""
    try:
        yield
    except OSError as error:
        raise UnusableInput(f"{error.filename}: cannot be read: {error.strerror}") from error
    except TypeError as error:
        # cryptography's one for a passphrase that is needed and lacking, or the other way round.
        raise UnusableInput(f"{file}: {str(error)[:1].lower()}{str(error)[1:]}") from error
    except Exception as error:  # RSA keys end in AttributeError, and more
        known = "password" in str(error).lower() or "does not match" in str(error)
        what = str(error) if known else f"is no EC key in PEM, on the curve {CURVES}"
        raise UnusableInput(f"{file}: {what[:1].lower()}{what[1:]}") from error


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """model_signing prints, logs and warns; results here are only what is returned and raised."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
