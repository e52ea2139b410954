"""The two sides of a node on the network: where it listens, who may send, where results go."""

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
    """UIDs of SOP classes.

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
    """Whether an address, or ``localhost``, is reached from this computer only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Tls(Section):
    """Transport security.

    Args:
        certificate: this node's certificate chain (PEM); a listening node needs one.
        key: its private key (PEM), if not in the same file.
        ca: certificates of the authorities that the other side is checked against (PEM). A listening node that has it
            asks every peer for a certificate; a sending node without it takes the system's authorities.
    """

    certificate: FilePath | None = None
    key: FilePath | None = None
    ca: FilePath | None = None

    def context(self, *, server: bool) -> ssl.SSLContext:
        """An SSL context that checks certificates, TLS 1.2 or later.

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
        accept: SOP classes taken, by the standard's keyword or UID.
        storage_commitment: answer requests for storage commitment.
        tls: speak TLS and nothing else.
    """

    ae_title: AeTitle = "MRI_DENOISE"
    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)
    accept: Annotated[List[str], AfterValidator(_check_sop_classes)] = _CLASSES
    storage_commitment: bool = False
    tls: Tls | None = None

    def sop_classes(self) -> tuple[UID, ...]:
        """UIDs of what is accepted."""
        return find_sop_classes(self.accept)


class Peer(Section):
    """Who may send.

    Args:
        ae_title: its calling AE title.
        address: its IP address, network (``10.1.2.0/24``) or host name, resolved when the node starts.
        port: where it listens, for reports of storage commitment.
        tls: how those reports are secured.
    """

    ae_title: AeTitle
    address: str
    port: int | None = Field(default=None, ge=1, le=65535)
    tls: Tls | None = None


class DicomTarget(Section):
    """A storage SCP."""

    ae_title: AeTitle
    host: str
    port: int = Field(default=104, ge=1, le=65535)
    tls: Tls | None = None


class WebTarget(Section):
    """A DICOMweb server: base URL, and the authorities (PEM) to check it against if not the system's."""

    url: str
    ca: FilePath | None = None


class Destination(Section):
    """Where derived series go: one of the two.

    Args:
        dicom: by C-STORE.
        dicomweb: by STOW-RS.
        query: after an interruption, ask which images arrived before sending the others.
    """

    dicom: DicomTarget | None = None
    dicomweb: WebTarget | None = None
    query: bool = True

    @model_validator(mode="after")
    def _is_one(self) -> Destination:
        if (self.dicom is None) == (self.dicomweb is None):
            raise wrong_key("dicom, dicomweb", "exactly one of them must be given")
        return self
