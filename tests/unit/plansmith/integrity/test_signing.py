"""Signatures of versions: what they cover, and everything that makes one no good."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith.errors import PlansmithError, UnusableInput
from plansmith.integrity.signing import SIGNATURE_FILE, Signer, Signing, Trust, Verifying
from signing_keys import PASSPHRASE, Certificates, Keys


def faults(folder: Path, trust: Trust) -> dict[str, str]:
    return {one.file: one.message for one in Verifying(trust).faults(folder)}


def by_certificate(certificates: Certificates) -> Signer:
    return Signer(
        private_key=certificates.private,
        certificate=certificates.signing,
        chain=(certificates.chain,),
    )


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_a_version_as_it_was_signed_has_no_fault(signed: Path, trust: Trust) -> None:
    assert faults(signed / "1", trust) == {}


def test_an_encrypted_key_signs_with_its_passphrase(tiny: Path, keys: Keys, trust: Trust) -> None:
    signing = Signing(Signer(private_key=keys.encrypted, passphrase=PASSPHRASE))
    signing.sign(tiny / "1")
    assert faults(tiny / "1", trust) == {}


def test_a_certificate_signs_and_the_root_is_what_is_trusted(
    tiny: Path, certificates: Certificates
) -> None:
    Signing(by_certificate(certificates)).sign(tiny / "1")
    assert faults(tiny / "1", Trust(certificates=(certificates.root,))) == {}
    (message,) = faults(tiny / "1", Trust(certificates=(certificates.other_root,))).values()
    assert message.startswith("is not accepted: ")


def test_whoever_has_another_key_is_told_that_it_is_not_the_signers(
    signed: Path, keys: Keys
) -> None:
    told = faults(signed / "1", Trust(public_key=keys.other_public))
    assert list(told) == [SIGNATURE_FILE]
    assert "Key mismatch" in told[SIGNATURE_FILE]


def test_a_signature_by_a_key_is_none_by_a_certificate(
    signed: Path, certificates: Certificates
) -> None:
    told = faults(signed / "1", Trust(certificates=(certificates.root,)))
    assert list(told) == [SIGNATURE_FILE]


@pytest.mark.parametrize("keep", [0, 1, 500, -1])
def test_a_truncated_signature_is_none(signed: Path, trust: Trust, keep: int) -> None:
    path = signed / "1" / SIGNATURE_FILE
    path.write_bytes(path.read_bytes()[:keep])
    told = faults(signed / "1", trust)
    assert list(told) == [SIGNATURE_FILE]
    assert "sign the version again" in told[SIGNATURE_FILE]


@pytest.mark.parametrize("text", ["[]", "{}", '{"dsseEnvelope": 1}', "null", "\ud800"])
def test_json_that_is_no_bundle_is_no_signature(signed: Path, trust: Trust, text: str) -> None:
    path = signed / "1" / SIGNATURE_FILE
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert list(faults(signed / "1", trust)) == [SIGNATURE_FILE]


def test_every_bit_of_a_signature_counts(signed: Path, trust: Trust) -> None:
    path = signed / "1" / SIGNATURE_FILE
    content = path.read_bytes()
    verifying = Verifying(trust)
    for at in range(len(content)):
        path.write_bytes(flipped(content, at, at % 8))
        assert verifying.faults(signed / "1"), (at, content[at - 9 : at + 9])


def test_every_byte_of_a_chain_of_certificates_counts(
    tiny: Path, certificates: Certificates
) -> None:
    path = Signing(by_certificate(certificates)).sign(tiny / "1")
    content = path.read_bytes()
    verifying = Verifying(Trust(certificates=(certificates.root,)))
    for at in range(len(content)):
        path.write_bytes(flipped(content, at, at % 8))
        assert verifying.faults(tiny / "1"), (at, content[at - 9 : at + 9])


def test_the_signature_of_another_version_names_what_differs(
    signed: Path, trust: Trust, publish_next: Callable[[Path], Path]
) -> None:
    publish_next(signed)
    shutil.copyfile(signed / "1" / SIGNATURE_FILE, signed / "2" / SIGNATURE_FILE)
    told = faults(signed / "2", trust)
    assert set(told) == {"manifest.json", "configs/cpu.pbtxt", "configs/config.pbtxt"}
    assert all("has been changed since it was signed" in message for message in told.values())


def test_added_missing_and_changed_files_are_told_apart(signed: Path, trust: Trust) -> None:
    place = signed / "1"
    (place / "extra").mkdir()
    (place / "extra" / "file").touch()
    (place / ".gitignore").touch()
    (place / "model.bin").unlink()
    (place / "model.xml").write_text("other")
    told = {name: message.partition(";")[0] for name, message in faults(place, trust).items()}
    assert told == {
        ".gitignore": "is not signed",
        "extra/file": "is not signed",
        "model.bin": "is missing, but was signed",
        "model.xml": "has been changed since it was signed",
    }


def test_what_the_signer_left_out_is_told(tiny: Path, keys: Keys, trust: Trust) -> None:
    place = tiny / "1"
    model_signing(
        *("sign", "key", place, "--signature", place / SIGNATURE_FILE),
        *("--private_key", keys.private, "--ignore-paths", place / "model.bin"),
    )
    assert list(faults(place, trust)) == ["model.bin"]


def model_signing(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_openssfs_own_program_verifies_it(signed: Path, keys: Keys) -> None:
    place = signed / "1"
    model_signing(
        *("verify", "key", place, "--signature", place / SIGNATURE_FILE),
        *("--public_key", keys.public),
    )


def test_nothing_is_printed_logged_or_warned(
    signed: Path,
    keys: Keys,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults(signed / "1", Trust(public_key=keys.other_public))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_no_network_is_asked_for(signed: Path, keys: Keys, tiny: Path) -> None:
    # A process of its own, so that imports count too.
    program = f"""
import socket
def refuse(*_, **__): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from pathlib import Path
from plansmith.integrity.signing import *
Signing(Signer(private_key=Path({str(keys.private)!r}))).sign(Path({str(tiny / "1")!r}))
assert not Verifying(Trust(public_key=Path({str(keys.public)!r}))).faults(
    Path({str(signed / "1")!r})
)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Keys that are no good


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda keys: Signer(private_key=keys.private / "none"), "cannot be read"),
        (lambda keys: Signer(private_key=keys.private.with_name("gone")), "No such file"),
        (lambda keys: Signer(private_key=keys.public), "is no EC key in PEM"),
        (lambda keys: Signer(private_key=keys.rsa), "is no EC key in PEM"),
        (lambda keys: Signer(private_key=keys.encrypted), "password was not given"),
        (lambda keys: Signer(private_key=keys.encrypted, passphrase="no"), "ncorrect password"),
    ],
)
def test_a_private_key_that_cannot_sign_is_told_by_its_file(
    keys: Keys, change: Callable[[Keys], Signer], says: str
) -> None:
    signer = change(keys)
    with pytest.raises(UnusableInput, match=says) as told:
        Signing(signer)
    assert str(told.value).startswith(f"{signer.private_key}: ")
    assert len(str(told.value).splitlines()) == 1


def test_a_passphrase_is_in_no_message_or_representation(keys: Keys) -> None:
    signer = Signer(private_key=keys.encrypted, passphrase="not it")
    with pytest.raises(UnusableInput) as told:
        Signing(signer)
    assert "not it" not in f"{told.value} {signer!r}"


@pytest.mark.parametrize("name", ["gone", "private", "rsa"])
def test_a_public_key_that_is_none_is_told_by_its_file(keys: Keys, name: str) -> None:
    file = keys.public.with_name(f"{name}.pem")
    with pytest.raises(UnusableInput, match=f"^{file}: "):
        Verifying(Trust(public_key=file))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chain": "root"}, "each issuer's issuer"),
        ({"chain": "signing"}, "each issuer's issuer"),
        ({"certificate": "root", "chain": "root"}, "does not match"),
        ({"certificate": "private"}, "is no certificate in PEM"),
        ({"certificate": "gone"}, "No such file"),
        ({"private_key": "encrypted"}, "is encrypted"),
    ],
)
def test_certificates_that_do_not_fit_are_told(
    certificates: Certificates, changes: dict[str, str], says: str
) -> None:
    files = {name: certificates.root.with_name(f"{file}.pem") for name, file in changes.items()}
    chain = (files.pop("chain", certificates.chain),)
    with pytest.raises(UnusableInput, match=says):
        Signing(replace(by_certificate(certificates), chain=chain, **files))


def test_root_certificates_that_are_none_are_told(certificates: Certificates) -> None:
    with pytest.raises(UnusableInput, match="is no certificate in PEM"):
        Verifying(Trust(certificates=(certificates.private,)))


# Writing


def test_a_signature_that_cannot_be_written_leaves_the_old_one(
    signed: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (signed / "1" / SIGNATURE_FILE).read_bytes()

    def fail(_handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PlansmithError, match=r"No space left on device; .* was not signed"):
        Signing(Signer(private_key=keys.private)).sign(signed / "1")
    assert (signed / "1" / SIGNATURE_FILE).read_bytes() == before
    assert not list(signed.rglob(".unfinished-*"))


def test_signing_again_replaces_the_signature(signed: Path, keys: Keys, trust: Trust) -> None:
    before = (signed / "1" / SIGNATURE_FILE).read_bytes()
    Signing(Signer(private_key=keys.private)).sign(signed / "1")
    # ECDSA draws a number each time.
    assert (signed / "1" / SIGNATURE_FILE).read_bytes() != before
    assert faults(signed / "1", trust) == {}
