# presets: dev
"""docs/operations.md says what the program does: every limit and every admin page stands in it, and nothing that is not there."""

from golden import operations

from support.backend import reply
from support.hop import Hop, traffic
from support.wire import exchange

TEXT = operations.PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_sources():
    assert operations.page(TEXT) == TEXT, "if it should be so: ./dev generate"


def test_every_limit_of_a_running_proxy_stands_in_the_table(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, policies=[traffic("backend", connections={"max": 5})])
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    known = {limit.name: limit for limit in operations.limits()}
    shown = hop.page("/limits")
    for row in shown:
        limit = known[row["limit"]]
        assert row["unit"] in (limit.unit, "connections") and row["description"] in limit.descriptions, row
    assert {row["limit"] for row in shown} == set(known)


def test_every_page_of_the_admin_listener_is_described(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]})
    for row in hop.page("/"):
        assert f"`{row['path']}`" in TEXT or f"`{row['method']} {row['path']}" in TEXT, row
