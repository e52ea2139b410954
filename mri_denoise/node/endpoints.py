"""Settings of the network: where the node listens, who may send, where results go."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydicom import config
from pydicom.uid import UID, UID_dictionary

from mri_denoise.errors import InputError
from mri_denoise.node.section import FilePath, List, Section, wrong_key

_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}")
_CLASSES = ("MRImageStorage", "EnhancedMRImageStorage", "LegacyConvertedEnhancedMRImageStorage")


def _check_ae_title(title: str) -> str:
    if not _AE_TITLE.fullmatch(title) or title.endswith(" "):
        raise ValueError(f"must be 1 to 16 printable characters without backslash, not {title!r}")
    return title


AeTitle = Annotated[str, AfterValidator(_check_ae_title)]
"""An application entity title (DICOM PS3.5 6.2, VR AE)."""


def find_sop_classes(names: Iterable[str]) -> tuple[UID, ...]:
    """Find the UIDs of SOP classes.

    Args:
        names: keywords of the standard, or UIDs.

    Raises:
        ValueError: for a name that is neither.
    """
    known = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"}
    found = {name: UID(known.get(name, name), validation_mode=config.IGNORE) for name in names}
    for name, uid in found.items():
        if not uid.is_valid:
            raise ValueError(f"{name}: neither the keyword nor the UID of a SOP class")
    return tuple(found.values())


def _check_sop_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name at least one SOP class")
    find_sop_classes(names)
    return names


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address; ``localhost`` counts."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Tls(Section):
    """TLS of one side of a connection.

    Args:
        certificate: this node's certificate chain (PEM); a listening node needs one.
        key: its private key (PEM), if not in the same file.
        ca: certificates (PEM) of the authorities that the other side is checked against. With it a listening node asks
            every peer for a certificate; without it a sending node takes the authorities of the system.
    """

    certificate: FilePath | None = None
    key: FilePath | None = None
    ca: FilePath | None = None

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Make an SSL context that checks certificates and takes TLS 1.2 or later.

        Raises:
            InputError: if a file is missing or unusable.
        """
        try:
            if server:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                if self.ca is not None:
                    context.verify_mode = ssl.CERT_REQUIRED
                    context.load_verify_locations(self.ca)
            else:
                context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            elif server:
                raise InputError("settings: listen.tls.certificate: is missing")
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(one) for one in (self.certificate, self.key, self.ca) if one is not None)
            raise InputError(f"settings: tls: {files}: cannot be used ({error}); check the PEM files") from error
        return context


class Listen(Section):
    """The receiving side.

    Args:
        ae_title: of this node, also when it sends.
        host: address to listen at.
        port: 0 takes any free one.
        accept: SOP classes to accept, by the standard's keyword or UID.
        storage_commitment: answer requests for storage commitment.
        tls: accept TLS connections only.
    """

    ae_title: AeTitle = "MRI_DENOISE"
    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)
    accept: Annotated[List[str], AfterValidator(_check_sop_classes)] = _CLASSES
    storage_commitment: bool = False
    tls: Tls | None = None

    def sop_classes(self) -> tuple[UID, ...]:
        """The UIDs of the SOP classes that are accepted."""
        return find_sop_classes(self.accept)


class Peer(Section):
    """A peer that may send.

    Args:
        ae_title: its calling AE title.
        address: its IP address, network (``10.1.2.0/24``) or host name, resolved when the node starts.
        port: where it listens for reports of storage commitment.
        tls: how those reports are secured; its certificate is checked against the address, which is no network then.
    """

    ae_title: AeTitle
    address: str
    port: int | None = Field(default=None, ge=1, le=65535)
    tls: Tls | None = None

    @model_validator(mode="after")
    def _has_a_certificate_for_its_address(self) -> Peer:
        if self.tls is not None and "/" in self.address:
            raise wrong_key("address", "must be one address or name, since no certificate is for a network")
        return self


class DicomTarget(Section):
    """A storage SCP that derived series are sent to."""

    ae_title: AeTitle
    host: str
    port: int = Field(default=104, ge=1, le=65535)
    tls: Tls | None = None


class WebTarget(Section):
    """A DICOMweb server that derived series are sent to.

    Args:
        url: base of the service.
        ca: certificates (PEM) of the authorities that it is checked against, if not those of the system.
    """

    url: str
    ca: FilePath | None = None


class Destination(Section):
    """Where derived series go: one of two kinds of server.

    Args:
        dicom: by C-STORE.
        dicomweb: by STOW-RS.
        query: ask, after an interruption, which images have arrived, before the others are sent.
    """

    dicom: DicomTarget | None = None
    dicomweb: WebTarget | None = None
    query: bool = True

    @model_validator(mode="after")
    def _is_one(self) -> Destination:
        if (self.dicom is None) == (self.dicomweb is None):
            raise wrong_key("dicom, dicomweb", "exactly one of them must be given")
        return self
