# presets: dev tsan release
"""/explain and `outrigger explain`: what is said of a request is what then becomes of it, and asking changes nothing."""

import json
import os
import shlex
import threading
import urllib.parse
from pathlib import Path

from support.backend import reply
from support.edge import Edge
from support.fleet import answers, eventually, http_get
from support.hop import API, Hop, service, traffic
from support.pair import Pair
from support.routes import backends, path, route, to_gateway, to_service
from support.test_ca import Authority
from support.wire import exchange

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
COMMAND = Path(os.environ["OUTRIGGER_BIN"]) / "outrigger"
CALLER = "spiffe://school.local/ns/school/sa/courses"


def policy(kind, name, rules, target="courses", **spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": {"targetRefs": [{"kind": "Service", "name": target}], "rules": rules, **spec}}


LIMIT = policy("RateLimitPolicy", "limits", [{"name": "all", "key": [{"type": "Header", "name": "x-tenant"}], "limits": [{"requests": 2, "per": "1h"}]}])
FAULTS = policy("FaultPolicy", "faults", [
    {"name": "broken", "matches": [{"path": {"type": "PathPrefix", "value": "/broken"}}], "abort": {"status": 503}},
    {"name": "shaky", "matches": [{"path": {"type": "PathPrefix", "value": "/shaky"}}], "abort": {"status": 503, "percent": 10}},
    {"name": "slow", "matches": [{"path": {"type": "PathPrefix", "value": "/slow"}}], "delay": {"fixed": "1h"}}])


def hop_of(fleet, *policies, workers=2, **spec):
    backend = fleet.backend(reply(200, b"hello"))
    return Hop(fleet, {"courses": [backend.address]}, policies=policies, inbound={"inbound": {"forwardTo": backend.address}}, service="courses", workers=workers, **spec), backend


def ask(hop, **parameters):
    status, body = http_get(hop.admin, "/explain?" + urllib.parse.urlencode(parameters, doseq=True))
    assert status == 200, body
    return json.loads(body)


def refused(hop, query):
    status, body = http_get(hop.admin, "/explain?" + query)
    return status, json.loads(body)["error"]


def step(answer, name):
    return next(row for row in answer["filters"] if row["filter"] == name)


def figures(row):
    return {figure["name"]: figure["value"] for figure in row["figures"]}


def send(address, path="/", host="courses", **fields):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(address, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")


# --- what is said is what becomes of it ---

def test_a_limit_tells_what_is_left_and_asking_takes_nothing(fleet):
    hop, backend = hop_of(fleet, LIMIT)
    where = {"listener": "inbound", "header": ["x-tenant: 42"]}
    for _ in range(5):
        answer = ask(hop, **where)
        assert answer["outcome"]["decision"] == "forwarded"
        row = step(answer, "rate_limit")
        assert figures(row)["tokens_left"] == 2 and row["policy"] == "RateLimitPolicy/default/limits" and ":" in row["place"]
    for left in (1, 0):
        assert send(hop.inbound["inbound"], x_tenant="42").status == 200
        assert figures(step(ask(hop, **where), "rate_limit"))["tokens_left"] == left
    said = ask(hop, **where)["outcome"]
    assert (said["decision"], said["end"], said["status"], said["by"], said["rule"]) == ("refused", "rate_limited", 429, "rate_limit", "all")
    got = send(hop.inbound["inbound"], x_tenant="42")
    assert got.status == 429 and int(got.header("retry-after")) <= 1800
    assert ask(hop, listener="inbound", header=["x-tenant: 43"])["outcome"]["decision"] == "forwarded"
    assert len(backend.requests) == 2 and len(hop.logged(3)) == 3


def test_faults_are_certain_waited_for_or_left_to_chance(fleet):
    hop, _ = hop_of(fleet, FAULTS)
    broken = ask(hop, host="courses", path="/broken")
    assert (broken["outcome"]["decision"], broken["outcome"]["status"], broken["outcome"]["policy"]) == ("refused", 503, "FaultPolicy/default/faults")
    assert send(hop.address, "/broken").status == 503
    shaky = ask(hop, host="courses", path="/shaky")
    assert (shaky["outcome"]["decision"], shaky["outcome"]["rule"], shaky["outcome"]["to"]) == ("depends", "shaky", "default/courses:80")
    slow = ask(hop, host="courses", path="/slow")
    assert slow["outcome"]["decision"] == "forwarded" and step(slow, "fault")["outcome"] == "would wait" and figures(step(slow, "fault"))["delay_ms"] == 3600000


def test_a_dry_run_is_told_and_passes(fleet):
    hop, _ = hop_of(fleet, policy("FaultPolicy", "trial", [{"name": "all", "abort": {"status": 500}}], mode="DryRun"))
    answer = ask(hop, host="courses")
    row = step(answer, "fault")
    assert answer["outcome"]["decision"] == "forwarded" and (row["outcome"], row["mode"], row["end"]) == ("would refuse", "DryRun", "fault")
    assert hop.figure("outrigger_policy_refusals_total") == 0


def test_the_route_that_is_taken_and_those_that_are_not(fleet):
    backend = fleet.backend(reply(200, b"x"))
    rules = [{"name": "write", "matches": [{"method": "POST", "path": {"type": "PathPrefix", "value": "/courses"}}], "backendRefs": [{"name": "other", "port": 80}]},
             {"name": "canary", "matches": [{"path": {"type": "PathPrefix", "value": "/courses"}, "headers": [{"name": "x-tenant", "value": "secret-value"}]}],
              "backendRefs": [{"name": "other", "port": 80}]},
             {"name": "read", "matches": [{"path": {"type": "PathPrefix", "value": "/courses"}}],
              "backendRefs": [{"name": "courses", "port": 80, "weight": 9}, {"name": "other", "port": 80, "weight": 1}]},
             {"name": "docs", "matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}], "backendRefs": [{"name": "courses", "port": 80}]}]
    hop = Hop(fleet, {"courses": [backend.address], "other": [backend.address]}, policies=[route("r", [to_service("courses")], *rules)], workers=1)
    chosen = set()
    for _ in range(3):
        answer = ask(hop, host="courses", path="/courses/1", header=["x-tenant: 1"])
        taken = answer["route"]
        assert taken["rule"] == "HTTPRoute/default/r: read" and taken["match"] == "PathPrefix /courses" and ":" in taken["place"]
        chosen.add(next(row["service"] for row in taken["backends"] if row["chosen"]))
    assert chosen == {"default/courses:80"}  # nobody's turn is taken
    why = {row["rule"]: row["why_not"] for row in taken["not_taken"]}
    assert why == {"HTTPRoute/default/r: write": "another method", "HTTPRoute/default/r: canary": "header x-tenant is not what it wants",
                   "HTTPRoute/default/r: docs": "another path"}
    assert "secret-value" not in json.dumps(answer)
    nowhere = ask(hop, host="courses", path="/x")
    assert nowhere["outcome"]["end"] == "route_not_found" and nowhere["outcome"]["status"] == 404 and nowhere["route"]["rule"] is None
    assert send(hop.address, "/x").status == 404


def test_whose_turn_it_is_is_not_told_as_certain(fleet):
    backend = fleet.backend(reply(200, b"x"))
    turns = [{"name": "courses", "port": 80, "weight": 1}, {"name": "empty", "port": 80, "weight": 3}]
    rules = [{"name": "turns", "matches": [path("/turns")], "backendRefs": turns},
             {"name": "one", "matches": [path("/one")], "backendRefs": [{"name": "courses", "port": 80, "weight": 0}, {"name": "empty", "port": 80, "weight": 3}]}]
    faults = [policy("FaultPolicy", "all", [{"name": "down", "matches": [{"path": path("/turns/down")["path"]}], "abort": {"status": 503}}], target="school"),
              policy("FaultPolicy", "one", [{"name": "out", "matches": [{"path": path("/turns/out")["path"]}], "abort": {"status": 503}}], target="empty")]
    hop = Hop(fleet, {"courses": [backend.address], "empty": [], "school": ["127.0.0.1:9"]}, policies=[route("r", [to_service("school")], *rules), *faults], workers=1)
    outcome = ask(hop, host="school", path="/turns")["outcome"]
    assert (outcome["decision"], outcome["by"], outcome["rule"], outcome["to"]) == ("depends", "route", "HTTPRoute/default/r: turns", "default/empty:80")
    assert outcome["reason"].endswith("with this backend: refused no_endpoint") and outcome["with_chosen"]["status"] == 503
    assert sorted(send(hop.address, "/turns", host="school").status for _ in range(8)) == [200] * 2 + [503] * 6
    out = ask(hop, host="school", path="/turns/out")["outcome"]
    assert (out["decision"], out["with_chosen"]["end"], out["with_chosen"]["rule"]) == ("depends", "fault", "out")
    for where, by in (("/one", "endpoints"), ("/turns/down", "fault")):
        certain = ask(hop, host="school", path=where)["outcome"]
        assert (certain["decision"], certain["status"], certain["by"]) == ("refused", 503, by)
        assert {send(hop.address, where, host="school").status for _ in range(4)} == {503}


def test_hosts_paths_endpoints_and_callers(fleet):
    hop, _ = hop_of(fleet)
    hop.documents.append(service("empty", []))
    hop.documents.append(traffic("courses", retry={"attempts": 2}, timeouts={"request": "3s"}))
    hop.reload()
    assert ask(hop, host="nobody")["outcome"]["end"] == "host_unknown"
    assert ask(hop, host="courses", path="/a/../../b")["outcome"]["end"] == "bad_request"
    assert ask(hop, host="empty")["outcome"] == {"decision": "refused", "end": "no_endpoint", "status": 503, "by": "endpoints"}
    answer = ask(hop, host="courses")
    assert answer["attempts"]["retries"] == 2 and len(answer["endpoints"]) == 1 and answer["endpoints"][0]["state"] == "available"
    assert figures(step(answer, "deadline")) == {"time_left_ms": 3000, "set_by": "timeouts.request"}
    assert hop.page("/clusters")[0]["endpoints"][0]["requests"] == 0


def test_a_strict_listener_wants_to_know_who_calls(fleet):
    authority = Authority("school.local")
    certificate, key = authority.issue(CALLER).write(fleet.folder / "identity")
    bundle = fleet.write("identity/ca.crt", authority.bundle_pem)
    backend = fleet.backend(reply(200, b"hello"))
    hop = Hop(fleet, {}, inbound={"inbound": {"forwardTo": backend.address, "mtls": {"mode": "Strict"}}}, outbound=False, service="courses",
              identity={"source": "Files", "certificate": str(certificate), "privateKey": str(key), "trustBundle": str(bundle)})
    said = ask(hop, **{"as": CALLER})
    assert said["request"]["identity"] == CALLER and said["outcome"]["decision"] == "forwarded"
    said = ask(hop)
    assert (said["outcome"]["decision"], said["outcome"]["by"]) == ("refused", "listener") and "mtls.mode" in said["outcome"]["reason"]


# --- what is not said ---

def test_secrets_are_not_shown(fleet):
    hop, _ = hop_of(fleet)
    answer = ask(hop, host="courses", path="/a?access_token=hush1&page=2&api_key=hush2",
                 header=["authorization: Bearer hush3", "cookie: a=hush4", "x-api-key: hush5", "proxy-authorization: hush6", "set-cookie: hush7", "x-tenant: open"])
    assert "hush" not in json.dumps(answer) and answer["request"]["path"] == "/a?access_token=REDACTED&page=2&api_key=REDACTED"
    assert {"name": "x-tenant", "value": "open"} in answer["request"]["headers"]


def test_bad_questions_say_what_is_allowed(fleet):
    hop, _ = hop_of(fleet)
    for query, says in (("host=courses&colour=red", "parameters are listener"), ("host=a%20b", "host:"), ("host=courses&path=x", "path:"), ("host=courses&header=x", "header:"),
                        ("host=courses&method=a%20b", "method:"), ("listener=nobody", "one of outbound, inbound"), ("listener=outbound", "host:"), ("host=courses&as=bob", "as:"),
                        ("host=courses&as=spiffe://a/b", "as:"), ("host=courses&client=here", "client:"), ("host=courses&destination=1.2.3.4:80", "transparent"),
                        ("host=courses&host=b", "once"), ("host=courses&format=xml", "format:"), ("host=courses&" + "&".join(["header=a:b"] * 65), "at most 64")):
        status, error = refused(hop, query)
        assert status == 400 and says in error, (query, error)


# --- for people ---

def test_the_command_says_it_in_words(fleet):
    hop, _ = hop_of(fleet, FAULTS)
    said = fleet.run([str(COMMAND), "explain", "http://courses/broken?token=x", "--admin", hop.admin, "--header", "x-tenant: 1"])
    lines = said.stdout.splitlines()
    assert said.returncode == 0, said.stderr
    assert lines[0] == "GET courses /broken?token=REDACTED, by outbound, from 127.0.0.1:0"
    assert lines[1].startswith("refused: 503 fault, by fault of FaultPolicy/default/faults: broken (") and any(line.startswith("  refuses") for line in lines)
    machine = fleet.run([str(COMMAND), "explain", "courses/broken", "--admin", hop.admin, "--json", "--method", "POST"])
    assert json.loads(machine.stdout)["request"]["method"] == "POST"
    for arguments, code, says in ((["explain"], 2, "no URL"), (["explain", "a", "b"], 2, "one URL"), (["explain", "a", "--x"], 2, "unknown option"),
                                  (["explain", "a", "--as"], 2, "a value is missing"), (["explain", "courses", "--listener", "x", "--admin", hop.admin], 2, "listener: one of"),
                                  (["explain", "courses", "--admin", fleet.address()], 1, "refused"), (["explain", "courses", "--admin", "nowhere"], 1, "not an address")):
        result = fleet.run([str(COMMAND), *arguments])
        assert (result.returncode, says in result.stderr.lower() or says in result.stderr) == (code, True), (arguments, result.stderr)


# --- while the world moves ---

def test_questions_are_answered_while_documents_change_and_connections_end(fleet):
    hop, _ = hop_of(fleet, FAULTS)
    done = threading.Event()
    decisions = []

    def keep_asking():
        while not done.is_set():
            decisions.append(ask(hop, host="courses", path="/shaky", listener="outbound")["outcome"]["decision"])

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        hop.documents.append(service(f"more{number}", ["127.0.0.1:9"]))
        hop.reload()
        assert send(hop.address).status == 200
    assert hop.post("/drain")[0] == 202
    answered = len(decisions)
    eventually(lambda: len(decisions) > answered + 50)
    done.set()
    for thread in threads:
        thread.join()
    assert set(decisions) == {"depends"}


# --- the page about it ---

def test_the_page_shows_what_the_command_says(fleet):
    page = (DOCS / "explain.md").read_text(encoding="utf-8")
    block = next(block for block in page.split("```") if block.startswith("\n$ outrigger explain"))
    command, *shown = block.strip().splitlines()
    admin = fleet.address()
    text = (DOCS / "examples" / "explain" / "proxy.yaml").read_text(encoding="utf-8")
    path = fleet.write("portal/proxy.yaml", text.replace("127.0.0.1:15000", admin).replace("127.0.0.1:15001", fleet.address()))
    fleet.proxy("portal", path, ready=answers(admin, "/version"))
    said = fleet.run([str(COMMAND), *shlex.split(command)[2:], "--admin", admin]).stdout
    assert said.replace(f"{path.parent}/", "").splitlines() == shown


# --- the debug header ---

def traces(response, name="x-debug"):
    return [json.loads(value) for field, value in response.headers if field.lower() == name]


def test_a_request_with_the_debug_header_is_told_by_every_proxy_of_the_mesh(fleet):
    backend = fleet.backend(reply(200, b"hello"))
    debug = {"debug": {"header": "x-debug"}}
    pair = Pair(fleet, backend.address, policies=[policy("FaultPolicy", "trial", [{"name": "all", "abort": {"status": 500}}], target="backend", mode="DryRun")], near=debug, far=debug)
    assert traces(send(pair.address, host="backend")) == []
    far, near = sorted(traces(send(pair.address, host="backend", x_debug="1")), key=lambda trace: trace["proxy"])
    assert (near["proxy"], near["service"], near["end"]) == ("near", "default/backend:80", "ok") and (far["proxy"], far["listener"]) == ("far0", "in")
    assert {"filter": "fault", "outcome": "would refuse", "policy": "FaultPolicy/default/trial", "rule": "all"} in near["filters"]
    assert near["attempts"] == [{"outcome": "answered", "endpoint": pair.far.inbound["in"]}]


def test_a_refusal_is_traced_and_retries_are(fleet):
    hop, _ = hop_of(fleet, FAULTS, debug={"header": "x-debug"})
    broken, = traces(send(hop.address, "/broken", x_debug="1"))
    assert broken["end"] == "fault" and {"filter": "fault", "outcome": "refused", "policy": "FaultPolicy/default/faults", "rule": "broken"} in broken["filters"]
    hop.documents += [service("gone", ["127.0.0.1:9"]), traffic("gone", retry={"attempts": 1})]
    hop.reload()
    gone, = traces(send(hop.address, host="gone", x_debug="1"))
    assert gone["end"] == "connect_refused" and [row["outcome"] for row in gone["attempts"]] == ["connect_refused", "connect_refused"]


def test_who_speaks_for_somebody_does_not_become_this_machine_by_naming_that_hop_by_hop(fleet):
    hop, backend = hop_of(fleet, debug={"header": "x-debug"})
    for hidden in ("x-forwarded-for", "forwarded", "x-forwarded-for, forwarded, x-debug"):
        fields = "".join(f"{name}: for=192.0.2.1\r\n" for name in ("X-Forwarded-For", "Forwarded") if name.lower() in hidden)
        answer = exchange(hop.address, f"GET / HTTP/1.1\r\nHost: courses\r\nX-Debug: 1\r\n{fields}Connection: {hidden}\r\n\r\n")
        assert answer.status == 200 and traces(answer) == [] and backend.requests[-1].values("x-debug") == []


def test_a_gateway_tells_strangers_nothing_unless_it_is_to_trust_them(fleet):
    backend = fleet.backend(reply(200, b"x", [("X-Debug", "of the backend")]))
    rule = {"matches": [path("/")], "backendRefs": backends("courses")}
    for trusted in ([], ["x-debug"]):
        edge = Edge(fleet, [service("courses", [backend.address])], [{}], route("r", [to_gateway()], rule), name=f"edge{len(trusted)}", debug={"header": "x-debug"},
                    edge={"trustHeaders": trusted})
        told = [value for field, value in send(edge.address, host="any.example", x_debug="1").headers if field.lower() == "x-debug"]
        assert ("x-debug" in [field.lower() for field, _ in backend.requests[-1].headers]) == bool(trusted)
        assert [json.loads(value)["route"] for value in told[1:]] == ["HTTPRoute/default/r: rule 1"] if trusted else told == []
        answer = ask(edge.hop, host="any.example", path="/a")
        assert answer["route"]["rule"] == "HTTPRoute/default/r: rule 1" and answer["outcome"] == {"decision": "forwarded", "to": "default/courses:80"}


def test_a_gateway_that_is_not_asked_itself_keeps_what_the_mesh_is_asked_and_tells(fleet):
    backend = fleet.backend(reply(200, b"x", [("X-Debug", "of the application"), ("x_debug_more", "of the application")]))
    debug = {"debug": {"header": "x-debug-why"}}
    pair = Pair(fleet, backend.address, near=debug, far=debug)
    told = traces(send(pair.address, host="backend", **{"x-debug-why": "1"}), "x-debug-why")
    assert {trace["proxy"] for trace in told} == {"near", "far0"}
    rule = {"matches": [path("/")], "backendRefs": backends("backend")}
    for trusted in ([], ["X-Debug-Why"]):
        edge = Edge(fleet, [pair.service], [{}], route("r", [to_gateway()], rule), name=f"edge{len(trusted)}", identity=pair.near_identity.spec, edge={"trustHeaders": trusted})
        answer = send(edge.address, host="any.example", **{"x-debug-why": "1", "x-debug": "1"})
        assert answer.status == 200 and backend.requests[-1].values("x-debug") == []
        assert [field.lower() for field, _ in answer.headers if "debug" in field.lower()] == (["x-debug-why"] if trusted else [])
        assert [trace["proxy"] for trace in traces(answer, "x-debug-why")] == (["far0"] if trusted else [])


def test_the_header_s_name_is_checked(fleet):
    for name, code in (("x-debug", 0), ("X-Debug-Why", 0), ("x-why", 3), ("x_debug", 3), ("x-debugging", 3), ("x-tier", 3), ("host", 3), ("Authorization", 3), ("outrigger-why", 3), ("two words", 3), ("", 3)):
        document = {"apiVersion": API, "kind": "Proxy", "metadata": {"name": "p"},
                    "spec": {"listeners": [{"name": "outbound", "role": "Outbound", "address": "127.0.0.1:15001"}], "debug": {"header": name}}}
        said = fleet.run([str(COMMAND), "check", str(fleet.write("debug.yaml", [document]))])
        assert said.returncode == code and (code == 0 or "allowed: x-debug, x-debug-..." in said.stderr), (name, said.stderr)


# --- further policies ---

def test_authorization_names_the_policy_and_rule_that_decide(fleet):
    rules = [{"name": "read", "matches": [{"method": "GET", "path": {"type": "PathPrefix", "value": "/progress"}}]}]
    hop, _ = hop_of(fleet, policy("AuthorizationPolicy", "readers", rules, action="Allow"))
    allowed = ask(hop, listener="inbound", path="/progress/1")
    assert allowed["outcome"]["decision"] == "forwarded" and step(allowed, "authorization")["rule"] == "read"
    denied = ask(hop, listener="inbound", path="/progress/1", method="DELETE")["outcome"]
    assert (denied["decision"], denied["end"], denied["status"], denied["by"]) == ("refused", "denied", 403, "authorization")
    assert send(hop.inbound["inbound"], "/other").status == 403


def test_a_breaker_tells_its_state_and_is_not_moved_by_questions(fleet):
    hop, _ = hop_of(fleet)
    hop.documents += [service("gone", ["127.0.0.1:9"]), traffic("gone", circuitBreaker={"failureThreshold": 1, "openFor": "1h"}, retry={"attempts": 0})]
    hop.reload()
    for _ in range(3):
        closed = ask(hop, host="gone")
        assert figures(step(closed, "breaker"))["state"] == "closed" and step(closed, "breaker")["of"] == "each attempt"
    assert send(hop.address, host="gone").status == 502
    opened = ask(hop, host="gone")
    assert figures(step(opened, "breaker"))["state"] == "open"
    assert (opened["outcome"]["decision"], opened["outcome"]["end"], opened["outcome"]["by"]) == ("refused", "breaker_open", "breaker")
    refused_by_it = send(hop.address, host="gone")
    assert refused_by_it.status == 503 and hop.logged(1, end="breaker_open")["policy"].startswith("TrafficPolicy/default/gone-traffic")
