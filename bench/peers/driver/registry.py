"""Which peers there are: by the name of their protocol for the helpers, by row for the measurement."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .peer import Peer
    from .publisher import Publisher

# Protocol: client, publisher.
_PROTOCOLS = {
    "postrider": ("postrider.Client", "postrider.Publisher"),
    "nats": ("nats.Client", "nats_publishing.CorePublisher"),
    "jetstream": ("nats.DurableClient", "nats_publishing.StreamPublisher"),
    "centrifugo": ("centrifugo.Client", "centrifugo.Publisher"),
    "mercure": ("mercure.Client", "mercure.Publisher"),
    "pushpin": ("pushpin.Client", "pushpin.Publisher"),
}

# What `--only` names: the rows of the table.
_PEERS = {
    "postrider": ("postrider.Embedded",),
    "distributed": ("postrider.Distributed",),
    "nats": ("nats.Core",),
    "jetstream": ("nats.JetStream",),
    "centrifugo": ("centrifugo.Default", "centrifugo.Tuned"),
    "mercure": ("mercure.Bolt",),
    "pushpin": ("pushpin.WebSocketOverHttp",),
}

NAMES = tuple(_PEERS)


def _of(where: str) -> type:
    module, name = where.split(".")
    found: type = getattr(import_module(f".peers.{module}", __package__), name)
    return found


def client(protocol: str) -> "type[Connection]":
    return _of(_PROTOCOLS[protocol][0])


def publisher(protocol: str) -> "type[Publisher]":
    return _of(_PROTOCOLS[protocol][1])


def peers(name: str) -> "list[type[Peer]]":
    return [_of(where) for where in _PEERS[name]]
