"""Arguments that say whose signatures count, and what they name."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.errors import PlansmithError, UnusableInput

if TYPE_CHECKING:
    from plansmith.integrity.version import Demand


def demand_options(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--public-key", type=Path, metavar="FILE", help="PEM of the key that versions are signed by"
    )
    certificate_chain(verb, "root certificates that signers descend from")
    verb.add_argument(
        "--require-signature", action="store_true", help="a version without one is a fault"
    )


def certificate_chain(verb: ArgumentParser, what: str) -> None:
    verb.add_argument(
        "--certificate-chain",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"PEM of {what}; may be given again",
    )


def demand(arguments: Namespace) -> Demand:
    """That of demand_options; raises UnusableInput where it cannot be met."""
    from plansmith.integrity.version import Demand

    key, chain = arguments.public_key, tuple(arguments.certificate_chain)
    if key is not None and chain:
        raise UnusableInput("--public-key and --certificate-chain exclude each other; give one")
    if key is None and not chain:
        if arguments.require_signature:
            raise UnusableInput(
                "--require-signature needs --public-key FILE or --certificate-chain FILE: "
                "whose signature is it to be?"
            )
        return Demand()
    from plansmith.integrity.signing import Trust, Verifying

    trust = Trust(public_key=key, certificates=chain)
    return Demand(verifying=Verifying(trust), must_be_signed=arguments.require_signature)


def verify_before_serving(arguments: Namespace) -> None:
    """Raises PlansmithError, with every fault, unless all that would be served is as published."""
    from plansmith.verify import verify_served

    if arguments.no_verify:
        if arguments.require_signature:
            raise UnusableInput("--no-verify and --require-signature exclude each other; give one")
        return
    found = verify_served(arguments.repository, arguments.target, demand(arguments))
    if not found.is_fine:
        told = [*found.lines(), "nothing was started; publish again, or serve with --no-verify"]
        raise PlansmithError("\n".join(told))
