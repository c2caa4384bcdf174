"""Keys and certificates for tests of signatures: made anew, good for nothing else."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PASSPHRASE = "correct horse"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """PEM files: a key pair, the same key with a passphrase, and another pair's public key."""

    private: Path
    public: Path
    encrypted: Path
    other_public: Path
    rsa: Path


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """PEM files: root, the one it issued, the signing one which that issued; it has expired."""

    root: Path
    chain: Path
    signing: Path
    private: Path
    other_root: Path
    encrypted: Path


def write_private(
    path: Path, key: ec.EllipticCurvePrivateKey, passphrase: str | None = None
) -> Path:
    protection = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    pkcs8 = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, protection))
    return path


def write_public(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, info))
    return path


def write_keys(folder: Path) -> Keys:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    rsa_file = folder / "rsa.pem"
    rsa_file.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Keys(
        private=write_private(folder / "private.pem", key),
        public=write_public(folder / "public.pem", key),
        encrypted=write_private(folder / "encrypted.pem", key, PASSPHRASE),
        other_public=write_public(folder / "other.pem", other),
        rsa=rsa_file,
    )


def issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> bytes:
    """A certificate in PEM; one whose issuer is another but "root" signs and is no authority."""
    signs = name == "signing"
    now = datetime.datetime.now(datetime.UTC)
    days = datetime.timedelta(days=1)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 20 * days)
        .not_valid_after(now + (-1 if signs else 20) * days)
        .add_extension(x509.BasicConstraints(ca=not signs, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=signs,
                key_cert_sign=not signs,
                crl_sign=not signs,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_certificates(folder: Path) -> Certificates:
    root, middle, signer, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
    pem = {
        "root": issue("root", root, "root", root),
        "middle": issue("middle", middle, "root", root),
        "signing": issue("signing", signer, "middle", middle),
        "other": issue("root", other, "root", other),
    }
    pem["chain"] = pem["middle"] + pem["root"]
    for name, content in pem.items():
        (folder / f"{name}.pem").write_bytes(content)
    return Certificates(
        root=folder / "root.pem",
        chain=folder / "chain.pem",
        signing=folder / "signing.pem",
        private=write_private(folder / "private.pem", signer),
        other_root=folder / "other.pem",
        encrypted=write_private(folder / "encrypted.pem", signer, PASSPHRASE),
    )
