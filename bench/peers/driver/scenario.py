"""The work that every peer is given, and what is read while it does it."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import accounting, ledger
from .commands import Failed, Helper
from .peer import Peer

# A part of the payload's mark, so that what comes late is not taken for another run's.
_WARM_UP, _SINGLE, _BATCH, _LOSS = 1, 2, 3, 4

# How long a killed peer stays away before it is started again.
_AWAY_S = 0.5


@dataclass(frozen=True)
class Plan:
    """How much work."""

    small: int
    large: int
    rate: int
    seconds: float
    rest_s: float
    loss_clients: int
    loss_rate: int
    loss_s: float
    holders: int = 2


class Field:
    """One start of a peer, with the processes that hold its clients and publish to it."""

    def __init__(self, peer: Peer, plan: Plan, folder: Path) -> None:
        self.peer, self.plan = peer, plan
        self.clients = 0
        self._holders: list[Helper] = []
        self._publisher: Helper | None = None
        self.folder = folder
        peer.prepare(folder)

    def __enter__(self) -> "Field":
        try:
            self.peer.start()
            self._holders = [Helper("clients") for _ in range(self.plan.holders)]
            self._publisher = Helper("publisher")
            self._publisher.ask(do="connect", peer=self.peer.protocol, settings=self.peer.publisher_settings())
        except BaseException as failure:
            self.__exit__(failure)
            raise
        return self

    def __exit__(self, failure: object = None, *_: object) -> None:
        try:
            for helper in (*self._holders, self._publisher):
                if helper is not None:
                    helper.end()
        finally:
            self.peer.stop()
        if failure is None:
            shutil.rmtree(self.folder)

    def _all(self, within: float = 60.0, **command: Any) -> list[dict[str, Any]]:
        for holder in self._holders:
            holder.send(**command)
        return [holder.answer(within) for holder in self._holders]

    def connect(self, upto: int) -> None:
        """Opens clients until there are so many."""
        count = len(self._holders)
        for index, holder in enumerate(self._holders):
            numbers = [number for number in range(self.clients, upto) if number % count == index]
            holder.send(do="open", peer=self.peer.protocol, settings=self.peer.client_settings(), numbers=numbers,
                        at_a_time=8)
        for holder in self._holders:
            holder.answer(180)
        self.clients = upto
        self.held()

    def held(self) -> None:
        """Fails unless every client is still up."""
        states = self._all(do="state")
        up = sum(state["up"] for state in states)
        if up != self.clients:
            raise Failed(f"{up} of {self.clients} clients are up; {[state['complaints'] for state in states]}")

    def returning(self) -> None:
        self._all(do="returning", on=True)

    def begin(self, run: int, total: int, rate: float, batch: int) -> None:
        """Starts to publish."""
        assert self._publisher is not None
        self._all(do="run", run=run, total=total, clients=self.clients)
        self._publisher.send(do="publish", run=run, total=total, clients=self.clients, rate=rate, batch=batch)

    def end(self, quiet_s: float, within: float) -> dict[str, Any]:
        """Waits for the last answer, then until all that was accepted came or nothing came for `quiet_s`."""
        assert self._publisher is not None
        answered = self._publisher.answer(within)
        accepted = ledger.unpack(answered["accepted"])
        wanted, moved, before = sum(accepted), time.monotonic(), -1
        while time.monotonic() - moved < quiet_s:
            came = sum(state["first"] for state in self._all(do="state"))
            if came != before:
                before, moved = came, time.monotonic()
            if came >= wanted and self._missing(accepted) == 0:
                break
            time.sleep(0.05)
        counts = self._all(do="counts")
        settled: dict[str, float] = {**ledger.settle(accepted, [ledger.unpack(count["counts"]) for count in counts])}
        settled["misdirected"] = sum(count["misdirected"] for count in counts)
        complaints = [text for state in self._all(do="state") for text in state["complaints"]]
        settled["last_came"] = moved
        return {**settled, "refused": answered["refused"], "unanswered": answered["unanswered"],
                "publishing_s": round(answered["took"], 2), "why": answered["why"], "complaints": complaints}

    def _missing(self, accepted: bytes) -> int:
        counts = [ledger.unpack(count["counts"]) for count in self._all(do="counts")]
        return ledger.settle(accepted, counts)["lost"]

    def cpu(self) -> dict[str, float]:
        return self._each(accounting.cpu_s)

    def memory(self) -> dict[str, float]:
        return self._each(accounting.private_kib)

    def _each(self, read: Callable[[int], float]) -> dict[str, float]:
        """Of each of the peer's processes, and of each engine with its children together."""
        servers = self.peer.servers
        found: dict[str, float] = {name: read(pid) for name, pid in servers.processes().items()}
        for name, pid in servers.engines.items():
            found[name] = sum(read(one) for one in (pid, *accounting.children(pid)))
        return found


def _split(peer: Peer, per_process: dict[str, float]) -> dict[str, Any]:
    """The sum of the peer's own processes, that of what it stands on, and each."""
    engines = peer.servers.engines
    own = sum(value for name, value in per_process.items() if name not in engines)
    beneath = sum(value for name, value in per_process.items() if name in engines)
    each = {name: round(value, 3) for name, value in per_process.items()}
    return {"own": round(own, 3), "engines": round(beneath, 3) if engines else None, "each": each}


def deliveries(field: Field, run: int, batch: int) -> dict[str, Any]:
    """CPU per delivery at a steady pace."""
    plan = field.plan
    field.begin(_WARM_UP, int(plan.rate * 1.0), plan.rate, batch)
    field.end(1.0, 60)
    before = field.cpu()
    total = int(plan.rate * plan.seconds)
    field.begin(run, total, plan.rate, batch)
    result = field.end(3.0, plan.seconds + 60)
    del result["last_came"]
    after = field.cpu()
    delivered = max(1, result["delivered"])
    spent = {name: (after[name] - before.get(name, 0.0)) * 1e6 / delivered for name in after}
    field.held()
    return {"clients": field.clients, "batch": batch, "offered": total,
            "cpu_us_per_delivery": _split(field.peer, spent), **result}


def idle(field: Field) -> dict[str, Any]:
    """Private memory between two numbers of connections; the slope leaves out what a process needs anyway."""
    plan, read = field.plan, {}
    for step in (plan.small, plan.large):
        field.connect(step)
        time.sleep(plan.rest_s)
        field.held()
        read[step] = field.memory()
    small, large = read[plan.small], read[plan.large]
    grown = {name: (large[name] - small.get(name, 0)) / (plan.large - plan.small) for name in large}
    return {"kib_per_connection": _split(field.peer, grown), "private_kib": read}


def loss(field: Field) -> dict[str, Any]:
    """kill -9 in the middle of publishing, a restart with what is on the disk, clients that come back."""
    plan = field.plan
    field.connect(plan.loss_clients)
    field.returning()
    field.begin(_LOSS, int(plan.loss_rate * plan.loss_s), plan.loss_rate, 1)
    time.sleep(plan.loss_s / 3)
    killed = time.monotonic()
    field.peer.kill()
    time.sleep(_AWAY_S)
    field.peer.start()
    served = time.monotonic()
    result = field.end(field.peer.quiet_s, plan.loss_s + 90)
    return {"away_s": round(served - killed, 2), "last_came_s": round(result.pop("last_came") - killed, 2),
            "published_for_s": round(plan.loss_s * 2 / 3, 2), **result}


def measure(peer: Peer, plan: Plan, say: Any) -> dict[str, Any]:
    """All of it, each on a fresh start of the peer."""
    found: dict[str, Any] = {"row": peer.row, "version": peer.version(), "work": peer.work,
                             "settings": peer.settings_text, "load_before": accounting.load()}
    batches = [(_SINGLE, 1)] + ([(_BATCH, peer.batch)] if peer.batch else [])
    try:
        if not peer.memory_only:
            say(f"{peer.row}: {plan.small} connections")
            with _fresh(peer, plan) as field:
                field.connect(plan.small)
                found["small"] = [deliveries(field, run, batch) for run, batch in batches]
        say(f"{peer.row}: {plan.large} connections")
        with _fresh(peer, plan) as field:
            found["idle"] = idle(field)
            if not peer.memory_only:
                found["large"] = [deliveries(field, run, batch) for run, batch in batches]
        if not peer.memory_only:
            say(f"{peer.row}: kill -9")
            with _fresh(peer, plan) as field:
                found["loss"] = loss(field)
    except (Failed, OSError) as error:
        found["failed"] = str(error)
    finally:
        peer.close()
    return found


def _fresh(peer: Peer, plan: Plan) -> Field:
    return Field(peer, plan, Path(tempfile.mkdtemp(prefix="postrider-peers.")))
