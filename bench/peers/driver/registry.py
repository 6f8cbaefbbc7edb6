"""Which peers there are: by the name of their protocol for the helpers, by row for the measurement."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .peer import Peer
    from .publisher import Publisher

# Protocol: module, client, publisher.
_PROTOCOLS = {
    "postrider": ("postrider", "Client", "Publisher"),
    "nats": ("nats", "Client", "CorePublisher"),
    "jetstream": ("nats", "DurableClient", "StreamPublisher"),
    "centrifugo": ("centrifugo", "Client", "Publisher"),
    "mercure": ("mercure", "Client", "Publisher"),
    "pushpin": ("pushpin", "Client", "Publisher"),
    "sockudo": ("sockudo", "Client", "Publisher"),
}

# What `--only` names: module, class.
_PEERS = {
    "postrider": (("postrider", "Embedded"),),
    "distributed": (("postrider", "Distributed"),),
    "nats": (("nats", "Core"), ("nats", "JetStream")),
    "centrifugo": (("centrifugo", "Default"), ("centrifugo", "Tuned")),
    "mercure": (("mercure", "Bolt"),),
    "pushpin": (("pushpin", "WebSocketOverHttp"),),
    "sockudo": (("sockudo", "Local"),),
}

NAMES = tuple(_PEERS)


def _of(module: str, name: str) -> type:
    return getattr(import_module(f".peers.{module}", __package__), name)


def client(protocol: str) -> "type[Connection]":
    module, name, _ = _PROTOCOLS[protocol]
    return _of(module, name)


def publisher(protocol: str) -> "type[Publisher]":
    module, _, name = _PROTOCOLS[protocol]
    return _of(module, name)


def peers(name: str) -> "list[type[Peer]]":
    return [_of(*where) for where in _PEERS[name]]
