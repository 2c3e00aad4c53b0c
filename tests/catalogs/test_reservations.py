"""Reservations in images: what they say is read, kept by content, and honoured."""

from __future__ import annotations

import builtins
import datetime
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers.catalogs import encoded, picture, small_catalog
from untrain.catalogs import reservations
from untrain.catalogs.reservations import (
    CONSTRAINS,
    FORBIDS,
    NOTHING,
    PERMITS,
    UNREADABLE,
    read_manifests,
    read_xmp,
    respect,
    said,
)
from untrain.core.errors import InputError

VOCABULARY = "http://ns.useplus.org/ldf/vocab"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


def xmp(inside: str = "", attribute: str = "", prefix: str = "plus") -> bytes:
    text = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:{prefix}="http://ns.useplus.org/ldf/xmp/1.0/" {attribute}>'
        f"{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    return text.encode()


@pytest.mark.parametrize(
    ("packet", "says"),
    [
        (xmp(), NOTHING),
        (xmp(f"<plus:DataMining>{VOCABULARY}/DMI-PROHIBITED</plus:DataMining>"), FORBIDS),
        (xmp(attribute=f'plus:DataMining="{VOCABULARY}/DMI-PROHIBITED-AIMLTRAINING"'), FORBIDS),
        (xmp(attribute='p:DataMining="DMI-PROHIBITED-GENAIMLTRAINING"', prefix="p"), FORBIDS),
        (
            xmp(f'<plus:DataMining rdf:resource="{VOCABULARY}/DMI-PROHIBITED-SEECONSTRAINT"/>'),
            CONSTRAINS,
        ),
        (xmp(attribute='plus:DataMining="DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING"'), FORBIDS),
        (xmp(attribute='plus:DataMining="Prohibited for Generative AI/ML training"'), FORBIDS),
        (xmp(attribute=f'plus:DataMining="{VOCABULARY}/DMI-ALLOWED"'), PERMITS),
        (xmp(attribute=f'plus:DataMining="{VOCABULARY}/DMI-UNSPECIFIED"'), PERMITS),
        (xmp("<plus:DataMining>DMI-PROHIBITED"), UNREADABLE),
        (xmp("<plus:DataMining/>").replace(b"<x:", b"<!DOCTYPE x><x:", 1), NOTHING),
        (xmp("<!ENTITY a 'b'><plus:DataMining>&a;</plus:DataMining>"), UNREADABLE),
        (b"no packet at all", NOTHING),
    ],
)
def test_the_property_of_xmp(packet: bytes, says: int) -> None:
    assert read_xmp(b"before" + packet + b"after") == says


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_in_files_of_every_format(format: str) -> None:
    packet = xmp(attribute='plus:DataMining="DMI-PROHIBITED"')
    options: dict[str, Any] = {"xmp": packet}
    if format == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": info}
    if format == "TIFF":
        options = {"tiffinfo": {700: packet}}
    data = encoded(Image.new("RGB", (8, 8)), format, **options)
    if packet not in data:
        pytest.skip(f"this Pillow writes no XMP into {format}")
    assert read_xmp(data) == FORBIDS


def test_images_that_forbid_it_are_kept_out_and_counted() -> None:
    plain = picture(1)
    forbids = picture(2) + xmp(attribute='plus:DataMining="DMI-PROHIBITED"')
    permits = picture(3) + xmp(attribute='plus:DataMining="DMI-ALLOWED"')
    catalog = small_catalog({"a": plain, "b": forbids, "c": permits, "d": forbids})
    found = respect(catalog, ["xmp"])
    assert list(found.ids) == ["a", "c"]
    (told,) = found.excluded
    assert told.images == ("b", "d") and told.kinds == {"forbidden": 2, "permitted": 1}
    assert told.entries == 3
    assert found.content == catalog.subset(["a", "c"]).content


def test_of_each_picture_it_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = small_catalog({"a": picture(1), "b": picture(1), "c": picture(2)})
    read: list[bytes] = []
    how = reservations.Reservation("1", lambda data: read.append(data) or NOTHING)
    monkeypatch.setitem(reservations.KINDS, "xmp", lambda: how)
    for _ in range(2):
        assert said(catalog, "xmp").tolist() == [NOTHING] * 3
    assert len(read) == 2


def test_faults_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    forbids = picture(2) + xmp(attribute='plus:DataMining="DMI-PROHIBITED"')
    with pytest.raises(InputError, match="all 1 images are excluded by xmp"):
        respect(small_catalog({"a": forbids}), ["xmp"])
    with pytest.raises(InputError, match=r"unknown reservation 'c2p'.*did you mean 'c2pa'"):
        respect(small_catalog({"a": picture(1)}), ["c2p"])
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "c2pa":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'untrain\[c2pa\]'"):
        respect(small_catalog({"a": picture(1)}), ["c2pa"])


def store(*uses: str, label: str = "c2pa.training-mining", prefix: str = "c2pa.") -> dict:
    names = ("ai_generative_training", "ai_training", "data_mining", "ai_inference")
    entries = {f"{prefix}{n}": {"use": use} for n, use in zip(names, uses, strict=False)}
    manifest = {"assertions": [{"label": label, "data": {"entries": entries}}]}
    return {"active_manifest": "m", "manifests": {"m": manifest}}


@pytest.mark.parametrize(
    ("manifests", "says"),
    [
        ({}, NOTHING),
        ({"active_manifest": "m", "manifests": {"m": {"assertions": []}}}, PERMITS),
        (store("notAllowed"), FORBIDS),
        (store("allowed", "notAllowed"), FORBIDS),
        (store("allowed", "allowed", "constrained"), CONSTRAINS),
        (store("allowed", "allowed", "allowed", "notAllowed"), PERMITS),  # only inference
        (store("notAllowed", label="cawg.training-mining", prefix="cawg."), FORBIDS),
        (store("notAllowed", label="c2pa.training-mining__1"), FORBIDS),
        (store("notAllowed", label="org.other"), PERMITS),
    ],
)
def test_the_assertion_of_a_manifest(manifests: dict, says: int) -> None:
    assert read_manifests(manifests) == says


@pytest.mark.parametrize(("relation", "says"), [("parentOf", FORBIDS), ("componentOf", PERMITS)])
def test_an_edited_picture_answers_to_its_original(relation: str, says: int) -> None:
    manifests = store("notAllowed")
    ingredient = {"relationship": relation, "active_manifest": "m"}
    manifests["manifests"]["edited"] = {"assertions": [], "ingredients": [ingredient]}
    manifests["manifests"]["m"]["ingredients"] = [
        {"relationship": "parentOf", "active_manifest": "edited"}  # a circle ends
    ]
    manifests["active_manifest"] = "edited"
    assert read_manifests(manifests) == says


@pytest.fixture(scope="module")
def sign() -> Callable[..., bytes]:
    """A function that signs an assertion into a picture, with a certificate made for it."""
    c2pa = pytest.importorskip("c2pa", reason="needs untrain[c2pa]")
    pytest.importorskip("cryptography")
    chain, key = certified()

    def signed(data: bytes, kind: str, label: str, use: str) -> bytes:
        entries = {f"{label.partition('.')[0]}.ai_generative_training": {"use": use}}
        camera = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
        created = {"action": "c2pa.created", "digitalSourceType": camera}
        manifest = {
            "claim_generator_info": [{"name": "untrain-test", "version": "0"}],
            "format": kind,
            "assertions": [
                {"label": label, "data": {"entries": entries}},
                {"label": "c2pa.actions", "data": {"actions": [created]}},
            ],
        }
        info = c2pa.C2paSignerInfo(b"es256", chain, key, b"none")
        info.ta_url = None  # no time is stamped: that would need the network
        out = io.BytesIO()
        with c2pa.Builder(json.dumps(manifest)) as builder:
            builder.sign(c2pa.Signer.from_info(info), kind, io.BytesIO(data), out)
        return out.getvalue()

    return signed


def certified() -> tuple[bytes, bytes]:
    """Return a chain of two certificates, made now, and the key of the first, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def named(name: str) -> x509.Name:
        named = [(NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, "untrain test")]
        return x509.Name([x509.NameAttribute(*each) for each in named])

    def certificate(name: str, own: Any, ca: bool) -> bytes:
        usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        made = (
            x509.CertificateBuilder(named("root"), named(name), own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca, None), True)
            .add_extension(usage, True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False
            )
        )
        if not ca:
            made = made.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False
            )
        return made.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate("leaf", key, False) + certificate("root", root_key, True), private


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("label", ["c2pa.training-mining", "cawg.training-mining"])
def test_manifests_that_the_official_library_signed(
    sign: Callable[..., bytes], format: str, label: str
) -> None:
    data = picture(1, format, (64, 64))
    says = {"notAllowed": FORBIDS, "constrained": CONSTRAINS, "allowed": PERMITS}
    files = {use: sign(data, f"image/{format.lower()}", label, use) for use in says}
    catalog = small_catalog({"plain": data, **files})
    assert said(catalog, "c2pa").tolist() == [NOTHING, *says.values()]
    found = respect(catalog, ["c2pa", "xmp"])
    assert list(found.ids) == ["plain", "allowed"]
    assert [each.source for each in found.excluded] == ["c2pa", "xmp"]


def test_a_forged_reservation_counts_all_the_same(sign: Callable[..., bytes]) -> None:
    data = bytearray(
        sign(picture(1, size=(64, 64)), "image/jpeg", "c2pa.training-mining", "notAllowed")
    )
    data[-100] ^= 255  # the picture is not the one that was signed any more
    assert said(small_catalog({"a": bytes(data)}), "c2pa").tolist() == [FORBIDS]
