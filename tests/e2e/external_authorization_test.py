# presets: dev release
"""AuthorizationPolicy with action External as users see it: agents of both types, a real Open Policy Agent, and agents that are slow, dead, or lie."""

import json
import threading

import pytest

from support.authorize import authorize, get
from support.backend import echo, message, replay, reply
from support.fleet import PEERS, accepts, eventually, take_port
from support.hop import Hop, service
from support.pair import CALLER, Pair

OPA = PEERS / "opa"
needs_opa = pytest.mark.skipif(not OPA.exists(), reason=f"Open Policy Agent is not there: ./dev setup --peers builds it ({OPA})")


def external(url, kind="OPA", *rules, **more):
    return authorize("agent", "External", *rules, external={"type": kind, "url": url, "timeout": "20s", **more})


def guarded(fleet, policy, *services, script=echo, **options):
    """A proxy beside an application that asks an agent."""
    hop = Hop(fleet, list(services), inbound={"in": {"forwardTo": fleet.backend(script).address}}, outbound=False, service="app", policies=[policy], **options)
    return hop, hop.inbound["in"]


def says(value):
    return reply(200, json.dumps(value).encode())


def fields(response):
    assert response.status == 200, response
    return {name.lower(): value for name, value in json.loads(response.body)["headers"]}


@pytest.mark.parametrize("said, status", [({"result": True}, 200), ({"result": False}, 403), ({}, 403), ({"result": {"allow": True}}, 200), ({"result": {"allow": False}}, 403)])
def test_what_the_policy_agent_says_is_done(fleet, said, status):
    agent = fleet.backend(says(said))
    hop, address = guarded(fleet, external(f"http://{agent.address}/v1/data/mesh/allow"))
    assert get(address, "/a/b?c=d", "PUT", x_role="admin").status == status
    (asked,) = agent.requests
    assert (asked.method, asked.target, asked.header("content-type")) == ("POST", "/v1/data/mesh/allow", "application/json")
    http = json.loads(asked.body)["input"]["attributes"]["request"]["http"]
    assert (http["method"], http["path"], http["host"], http["headers"]["x-role"]) == ("PUT", "/a/b?c=d", "backend", "admin")
    if status == 403:
        line = hop.logged(end="denied")
        assert line["policy"] == "AuthorizationPolicy/default/agent: all" and line["detail"].startswith("the policy agent")
        assert hop.figure("outrigger_policy_refusals_total", policy="AuthorizationPolicy/default/agent", rule="all") == 1


@pytest.mark.parametrize("on_failure, status", [("Deny", 403), ("Allow", 200)])
@pytest.mark.parametrize("agent", ["dead", "slow", "garbage", "no HTTP", "huge", "500", "half", "not JSON"])
def test_an_agent_that_does_not_decide(fleet, agent, on_failure, status):
    scripts = {"slow": lambda connection: connection.socket.recv(65536) and connection.socket.recv(1), "garbage": reply(200, b"\x00\xff{"), "no HTTP": lambda connection: connection.send(b"\x16\x03\x01 nonsense\r\n\r\n"),
               "huge": reply(200, b'{"result": true, "x": "' + b"y" * (1 << 20) + b'"}'), "500": reply(500, b'{"result": true}'),
               "half": replay(message(200, b'{"result": true}')[:-4]), "not JSON": reply(200, b"true")}
    address = fleet.backend(scripts[agent]).address if agent in scripts else f"127.0.0.1:{take_port()}"
    hop, inbound = guarded(fleet, external(f"http://{address}/", timeout="100ms" if agent in ("slow", "half") else "20s", onFailure=on_failure))
    assert get(inbound).status == status
    assert "external_authorization_failed" in hop.process.output()
    if status == 403:
        assert hop.logged(end="denied")["detail"].startswith("agent: ")


def test_a_forward_request_is_asked_like_the_one_it_is_about(fleet):
    agent = fleet.backend(replay(message(204, b"", [("x-user", "me"), ("x-secret", "1")])))
    _, address = guarded(fleet, external(f"http://{agent.address}/auth", "Forward", headersToUpstream=["x-user"]))
    seen = fields(get(address, "/a?b", "POST", x_user="evil", cookie="c=d", x_original_uri="/evil"))
    assert seen["x-user"] == "me" and "x-secret" not in seen
    (asked,) = agent.requests
    assert (asked.method, asked.target, asked.header("cookie")) == ("GET", "/auth", "c=d")
    assert (asked.values("x-original-uri"), asked.header("x-original-method"), asked.header("x-forwarded-host")) == (["/a?b"], "POST", "backend")


def test_a_forward_refusal_is_passed_down(fleet):
    agent = fleet.backend(replay(message(401, b"page", [("WWW-Authenticate", 'Basic realm="x"'), ("Location", "/login")])))
    hop, address = guarded(fleet, external(f"http://{agent.address}/", "Forward"))
    response = get(address)
    assert (response.status, response.header("www-authenticate"), response.header("location")) == (401, 'Basic realm="x"', "/login")
    assert b"page" not in response.body
    assert hop.logged(end="unauthenticated")["policy"] == "AuthorizationPolicy/default/agent: all"


def test_an_agent_that_is_a_service_of_the_documents(fleet):
    """Its name in the URL is that of a ServiceEntry, whose endpoints then are asked."""
    agents = [fleet.backend(says({"result": True})) for _ in range(2)]
    _, address = guarded(fleet, external("http://opa.policies:8181/v1/data/x"), service("opa", [one.address for one in agents], port=8181, hosts=["opa.policies"]))
    assert {get(address).status for _ in range(10)} == {200}
    assert sum(len(one.requests) for one in agents) == 10


REGO = """
package mesh

default allow := {"allow": false}

allow := {"allow": true, "headers": {"x-decided-by": "opa"}} if {
    input.attributes.request.http.method == "GET"
    input.parsed_path[0] == "courses"
    input.attributes.source.principal == "%s"
}

allow := {"allow": true} if input.parsed_query.token == ["s3cret"]

public if input.attributes.request.http.headers["x-public"] == "yes"
"""


@pytest.fixture
def opa(fleet):
    """The address of a real Open Policy Agent."""
    address = fleet.address()
    policy = fleet.write("mesh.rego", REGO % CALLER)
    fleet.start("opa", [OPA, "run", "--server", "--disable-telemetry", "--log-level", "error", "--addr", address, policy], accepts(address), timeout=120)
    return address


@needs_opa
def test_a_real_open_policy_agent_decides_by_a_policy_in_rego(fleet, opa):
    backend = fleet.backend()
    pair = Pair(fleet, backend.address, far={"service": "app", "policies": [external(f"http://{opa}/v1/data/mesh/allow", headersToUpstream=["x-decided-by"])]})
    seen = fields(get(pair.address, "/courses/1"))
    assert seen["x-decided-by"] == "opa"
    assert [get(pair.address, target, method).status for target, method in (("/courses/1", "PUT"), ("/other", "GET"), ("/other?token=s3cret", "GET"), ("/other?token=s3cret&token=x", "GET"))] == \
        [403, 403, 200, 403]
    assert len(backend.requests) == 2
    assert pair.far.logged(3, end="denied")[0]["detail"] == "the policy agent says no"


@needs_opa
def test_a_real_open_policy_agent_that_leaves_it_undefined_refuses(fleet, opa):
    _, address = guarded(fleet, external(f"http://{opa}/v1/data/mesh/public"))
    assert [get(address, x_public=value).status for value in ("yes", "no")] == [200, 403]


def test_in_a_dry_run_nobody_waits(fleet):
    may_answer = threading.Event()

    def slow(connection):
        while connection.read_request() is not None:
            may_answer.wait(30)
            connection.send(message(200, b'{"result": false}'))
    agent = fleet.backend(slow)
    policy = external(f"http://{agent.address}/", timeout="30s")
    policy["spec"]["mode"] = "DryRun"
    hop, address = guarded(fleet, policy)
    assert get(address).status == 200
    assert "dry_run" not in hop.logged(status=200)
    may_answer.set()
    eventually(lambda: hop.figure("outrigger_policy_refusals_total", mode="dry_run") == 1, what="what the agent would have made of it")
