"""Who may connect, and which peer an association is with."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from mri_denoise.errors import InputError
from mri_denoise.node.endpoints import Peer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peers:
    """The peers of the settings, their host names resolved once.

    Args:
        peers: none: everybody may connect.

    Raises:
        InputError: if an address cannot be resolved.
    """

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._networks = [(peer, networks(peer)) for peer in peers]

    def admit(self, address: str) -> bool:
        """Whether an IP address may connect."""
        return not self._networks or any(_is_in(address, found) for _, found in self._networks)

    def accept(self, title: str, address: str) -> bool:
        """Whether an AE title may have an association from an IP address."""
        return not self._networks or self.find(title, address) is not None

    def find(self, title: str, address: str) -> Peer | None:
        """The peer of that AE title and IP address together."""
        for peer, found in self._networks:
            if peer.ae_title == title.strip() and _is_in(address, found):
                return peer
        return None


def networks(peer: Peer) -> list[Network]:
    """IP networks of a peer; a single address is a network too.

    Raises:
        InputError: if its host name cannot be resolved.
    """
    try:
        return [ipaddress.ip_network(peer.address, strict=False)]
    except ValueError:
        pass
    try:
        return [ipaddress.ip_network(found[4][0]) for found in socket.getaddrinfo(peer.address, None)]
    except OSError as error:
        raise InputError(f"settings: peers: address {peer.address} of {peer.ae_title} cannot be resolved") from error


def _is_in(address: str, found: Iterable[Network]) -> bool:
    """Whether an address, also an IPv4 one mapped to IPv6, lies in any of some networks."""
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return any((mapped or ip) in network for network in found)
