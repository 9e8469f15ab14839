"""Which connection has to go, and when; in virtual time, with sockets that are none."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, cast

from support.virtual_time import run_virtually

from exporter.web.connections import Connections, Limits

if TYPE_CHECKING:
    import socket

    from exporter.web.connections import Connection


class Wire:
    """Socket and transport in one, identified by a number."""

    numbers = itertools.count(10)

    def __init__(self, number: int | None = None) -> None:
        self.number = next(self.numbers) if number is None else number
        self.is_cut = False
        self.is_ending = False

    def fileno(self) -> int:
        return self.number

    def get_extra_info(self, _: str) -> Wire:
        return self

    def is_closing(self) -> bool:
        return self.is_cut or self.is_ending

    def abort(self) -> None:
        self.is_cut = True

    def shutdown(self, _: int) -> None:
        self.is_cut = True


def add(connections: Connections, address: str = "a", number: int | None = None, *, opened: bool = True) -> Wire:
    wire = Wire(number)
    connection: Connection = connections.add(cast("socket.socket", wire), address)
    if opened:
        connection.opened(cast("asyncio.Transport", wire))
    return wire


def ask(connections: Connections, wire: Wire) -> None:
    connections.queried(cast("asyncio.Transport", wire))


def test_times_run_from_the_start_and_then_from_each_request() -> None:
    async def scenario() -> None:
        connections = Connections(Limits(first_request=10, request=150))
        silent, stuck, asking = add(connections), add(connections, opened=False), add(connections)
        await asyncio.sleep(9)
        ask(connections, asking)
        await asyncio.sleep(0.9)
        assert [each.is_cut for each in (silent, stuck, asking)] == [False] * 3
        await asyncio.sleep(0.2)
        assert [each.is_cut for each in (silent, stuck, asking)] == [True, True, False]
        await asyncio.sleep(140)
        ask(connections, asking)
        await asyncio.sleep(149)
        assert [asking.is_cut] == [False]
        await asyncio.sleep(2)
        assert [asking.is_cut] == [True]
        assert len(connections) == 0

    run_virtually(scenario())


def test_lanes_that_never_sent_go_first_then_those_that_waited_longest() -> None:
    async def scenario() -> None:
        connections = Connections(Limits(connections=3))
        first, second, third = (add(connections) for _ in range(3))
        for each in (second, first):
            await asyncio.sleep(1)
            ask(connections, each)
        newcomers = [add(connections)]
        assert [each.is_cut for each in (first, second, third)] == [False, False, True]
        ask(connections, newcomers[0])
        newcomers.append(add(connections))
        assert [each.is_cut for each in (first, second, *newcomers)] == [False, True, False, False]
        assert len(connections) == 3

    run_virtually(scenario())


def test_an_address_with_many_connections_loses_its_own() -> None:
    """So no single machine can push Prometheus out, however much it asks and however little Prometheus does."""

    async def scenario() -> None:
        connections = Connections(Limits(connections=10))
        prometheus = add(connections, "prometheus")
        for _ in range(100):
            ask(connections, add(connections, "greedy"))
        assert not prometheus.is_cut
        assert len(connections) == 10

    run_virtually(scenario())


def test_what_is_ending_makes_room_before_anybody_is_cut_off() -> None:
    """Also what has been closed by us, but still has bytes that its client does not take: those are dropped."""

    async def scenario() -> None:
        connections = Connections(Limits(connections=2))
        ending, other = add(connections), add(connections)
        ask(connections, ending)
        ending.is_ending = True
        add(connections)
        assert ending.is_cut
        assert not other.is_cut

    run_virtually(scenario())


def test_a_number_that_comes_again_is_a_new_connection() -> None:
    """The end of the old one is not reported. Its timer must not close the new one."""

    async def scenario() -> None:
        connections = Connections(Limits(first_request=10))
        add(connections, number=7)
        await asyncio.sleep(5)
        new = add(connections, number=7)
        assert len(connections) == 1
        await asyncio.sleep(6)
        assert [new.is_cut] == [False]
        await asyncio.sleep(5)
        assert [new.is_cut] == [True]

    run_virtually(scenario())


def test_a_handshake_that_ends_after_it_was_cut_off_comes_too_late() -> None:
    async def scenario() -> None:
        connections = Connections(Limits(connections=1))
        wire = Wire()
        connection = connections.add(cast("socket.socket", wire), "a")
        add(connections)
        transport = Wire()
        connection.opened(cast("asyncio.Transport", transport))
        assert transport.is_cut

    run_virtually(scenario())
