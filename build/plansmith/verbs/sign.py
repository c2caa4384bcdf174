"""`plansmith sign`: signs published versions, so that a server can refuse what others made."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from plansmith.errors import PlansmithError, UnusableInput
from plansmith.verbs import given, options, signatures

ABOUT = "sign published versions with a private key"
PASSPHRASE = "PLANSMITH_KEY_PASSPHRASE"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="all in the repository, if none")
    options.repository(verb)
    verb.add_argument(
        "--private-key",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"an EC key in PEM; its passphrase is asked for, or taken from ${PASSPHRASE}",
    )
    verb.add_argument(
        "--signing-certificate", type=Path, metavar="FILE", help="PEM of the key's certificate"
    )
    signatures.certificate_chain(verb, "that certificate's issuers, up to the root")
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Signs every version of the models, if all of them are as they were published."""
    from plansmith.integrity.signing import Signer, Signing
    from plansmith.repository import version_folders
    from plansmith.verify import verify

    if arguments.certificate_chain and arguments.signing_certificate is None:
        raise UnusableInput("--certificate-chain: --signing-certificate FILE is missing")
    folders = given.published(arguments.repository, arguments.models)
    signer = Signer(
        private_key=arguments.private_key,
        passphrase=_passphrase(arguments),
        certificate=arguments.signing_certificate,
        chain=tuple(arguments.certificate_chain),
    )
    signing = Signing(signer)
    found = verify(folders)
    if not found.is_fine:
        raise PlansmithError("\n".join(["nothing was signed:", *found.lines()]))
    signed = [signing.sign(version) for folder in folders for version in version_folders(folder)]
    if arguments.json:
        import json

        print(json.dumps({"signed": [str(path) for path in signed]}, indent=2))
    else:
        print("\n".join(f"signed: {path}" for path in signed))
    return 0


def _passphrase(arguments: Namespace) -> str | None:
    """From the environment or the keyboard, never an argument: others can read those."""
    from plansmith.integrity.signing import is_encrypted

    if arguments.signing_certificate is not None or not is_encrypted(arguments.private_key):
        return None
    given_there = os.environ.get(PASSPHRASE)
    if given_there is not None:
        return given_there
    if not sys.stdin.isatty():
        raise UnusableInput(
            f"{arguments.private_key}: is encrypted; put its passphrase into ${PASSPHRASE}"
        )
    from getpass import getpass

    return getpass(f"passphrase of {arguments.private_key}: ")
