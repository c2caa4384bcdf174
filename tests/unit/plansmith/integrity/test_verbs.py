"""`plansmith sign` and `plansmith verify` at the command line: exit code, stdout and stderr."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.cli import main
from plansmith.verbs.sign import PASSPHRASE as VARIABLE
from signing_keys import PASSPHRASE, Certificates, Keys

Told = tuple[int, list[str], list[str]]


@pytest.fixture
def run(
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Told]:
    """Exit code, lines on stdout and on stderr of a verb on the repository of `tiny`."""
    monkeypatch.delenv(VARIABLE, raising=False)
    # serve sets handlers for the whole process, which is that of all tests.
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def verb(name: str, *arguments: str | Path) -> Told:
        code = main([name, "--repository", str(tiny.parent), *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return verb


def test_every_version_is_signed_and_told(
    tiny: Path, publish_next: Callable[[Path], Path], run: Callable[..., Told], keys: Keys
) -> None:
    publish_next(tiny)
    publish_next(tiny.with_name("other"))
    code, out, err = run("sign", "--private-key", keys.private)
    places = [tiny.with_name("other") / "1", tiny / "1", tiny / "2"]
    assert (code, err) == (0, [])
    assert out == [f"signed: {place / 'model.sig'}" for place in places]
    whole = ["12 files of 3 versions are whole; 3 of them signed"]
    assert run("verify", "--public-key", keys.public, "--require-signature") == (0, whole, [])


def test_json_is_all_there_is_on_stdout(tiny: Path, run: Callable[..., Told], keys: Keys) -> None:
    _, out, _ = run("sign", "tiny", "--private-key", keys.private, "--json")
    assert json.loads("\n".join(out)) == {"signed": [str(tiny / "1" / "model.sig")]}
    code, out, _ = run("verify", "--public-key", keys.other_public, "--json")
    table = json.loads("\n".join(out))
    assert (code, table["signed"]) == (1, 1)
    (fault,) = table["faults"]
    assert (fault["model"], fault["version"], fault["file"]) == ("tiny", 1, "model.sig")


def test_a_certificate_signs_and_its_root_verifies(
    run: Callable[..., Told], certificates: Certificates
) -> None:
    given = ("--signing-certificate", certificates.signing)
    chain = ("--certificate-chain", certificates.chain)
    assert run("sign", "--private-key", certificates.private, *given, *chain)[0] == 0
    demand = ("--require-signature", "--certificate-chain")
    assert run("verify", *demand, certificates.root)[0] == 0
    assert run("verify", *demand, certificates.other_root)[0] == 1


def test_an_encrypted_keys_passphrase_comes_from_the_environment(
    run: Callable[..., Told], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    assert run("sign", "--private-key", keys.encrypted)[0] == 0
    monkeypatch.setenv(VARIABLE, "wrong")
    code, out, err = run("sign", "--private-key", keys.encrypted)
    assert (code, out, len(err)) == (2, [], 1)
    assert "wrong" not in err[0]


def test_an_encrypted_keys_passphrase_is_asked_for_at_a_terminal(
    run: Callable[..., Told], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: PASSPHRASE)
    assert run("sign", "--private-key", keys.encrypted)[0] == 0


def test_an_encrypted_key_without_a_passphrase_is_told_where_it_is_looked_for(
    run: Callable[..., Told], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    code, out, err = run("sign", "--private-key", keys.encrypted)
    assert (code, out) == (2, [])
    assert err == [
        f"plansmith sign: {keys.encrypted}: is encrypted; put its passphrase into ${VARIABLE}"
    ]


def test_a_faulty_version_is_not_signed_nor_is_any_other(
    tiny: Path, publish_next: Callable[[Path], Path], run: Callable[..., Told], keys: Keys
) -> None:
    publish_next(tiny)
    (tiny / "2" / "model.bin").write_text("tampered")
    code, out, err = run("sign", "--private-key", keys.private)
    assert (code, out) == (1, [])
    assert err[0] == "plansmith sign: nothing was signed:"
    assert err[1].startswith("tiny/2/model.bin: ")
    assert not list(tiny.rglob("model.sig"))


def test_signing_again_with_another_key_is_what_the_next_owner_does(
    run: Callable[..., Told], keys: Keys, certificates: Certificates
) -> None:
    run("sign", "--private-key", certificates.private)
    assert run("verify", "--public-key", keys.public)[0] == 1
    assert run("sign", "--private-key", keys.private)[0] == 0
    assert run("verify", "--public-key", keys.public)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify", "--require-signature"], "needs --public-key FILE or --certificate-chain FILE"),
        (["verify", "--public-key", "gone.pem"], "gone.pem: cannot be read: No such file"),
        (["verify", "--public-key", "a", "--certificate-chain", "b"], "exclude each other"),
        (["sign", "--private-key", "gone.pem"], "gone.pem: cannot be read: No such file"),
        (["sign", "--private-key", "a", "--certificate-chain", "b"], "--signing-certificate"),
        (["serve", "--require-signature"], "needs --public-key FILE or --certificate-chain FILE"),
        (["serve", "--require-signature", "--no-verify"], "exclude each other"),
    ],
)
def test_what_the_user_got_wrong_is_one_line(
    run: Callable[..., Told], arguments: list[str], says: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out, len(err)) == (2, [], 1)
    assert says in err[0]


def test_without_the_package_what_to_install_is_told(
    run: Callable[..., Told], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    code, _, err = run("sign", "--private-key", keys.private)
    assert (code, len(err)) == (3, 1)
    assert '"plansmith[signing]"' in err[0]


def test_a_repository_without_signatures_is_verified_without_the_package(
    run: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert run("verify")[0] == 0


def test_serving_is_refused_with_every_fault_before_anything_starts(
    tiny: Path, run: Callable[..., Told], keys: Keys
) -> None:
    shutil.copyfile(tiny / "1" / "model.xml", tiny / "1" / "model.bin")
    (tiny / "labels.txt").write_text("x\n")
    code, out, err = run("serve", "--public-key", keys.public, "--require-signature")
    assert (code, out) == (1, [])
    assert [line.partition(": ")[0] for line in err] == [
        "plansmith serve",
        "tiny/1/model.sig",
        "tiny/labels.txt",
        "nothing was started; publish again, or serve with --no-verify",
    ]
    assert "tiny/1/model.bin: " in err[0]
