# presets: dev tsan release
"""`outrigger simulate`: what policies would have done to the requests of an access log, ours or nginx's, with the figures that the same policies have in a proxy that runs."""

import datetime
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from support.backend import reply
from support.fleet import BIN
from support.hop import API, Hop, service
from support.token import Issuer, jwks
from support.wire import Wire

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "limits"
BEGIN = datetime.datetime(2026, 11, 28, 10, 0, 0, tzinfo=datetime.timezone.utc)


def policy(kind, name, **spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": {"targetRefs": [{"kind": "Service", "name": "auth"}], **spec}}


def limits(*rules, **spec):
    return policy("RateLimitPolicy", "l", rules=list(rules), **spec)


def documents(*policies, port=1, **listener):
    proxy = {"apiVersion": API, "kind": "Proxy", "metadata": {"name": "auth-1"},
             "spec": {"service": "auth", "listeners": [{"name": "in", "role": "Inbound", "address": f"127.0.0.1:{port}", "forwardTo": "127.0.0.1:2", "mtls": {"mode": "Disable"},
                                                        **listener}]}}
    return [proxy, service("auth", ["127.0.0.1:3"]), *policies]


def run(fleet, *arguments, code=0, text=None):
    done = subprocess.run([str(BIN / "outrigger"), "simulate", *map(str, arguments)], capture_output=True, text=True, timeout=60, input=text, check=False, cwd=fleet.folder)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def simulate(fleet, policies, lines, *arguments):
    """The report on a log of these lines."""
    config, log = fleet.write("simulated.yaml", documents(*policies)), fleet.write("access.log", "".join(line + "\n" for line in lines))
    return json.loads(run(fleet, "--json", *arguments, config, log).stdout)


def rules(report):
    return {(rule["policy"], rule["rule"]): rule for rule in report["rules"]}


def combined(seconds, client="10.0.0.1", line="GET / HTTP/1.1", status=200, more=""):
    return f'{client} - - [{(BEGIN + datetime.timedelta(seconds=seconds)).strftime("%d/%b/%Y:%H:%M:%S %z")}] "{line}" {status} 12 "-" "curl/8.0"{more}'


def ours(seconds, **fields):
    time = (BEGIN + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps({"time": time, "listener": "in", "direction": "inbound", "method": "GET", "authority": "auth", "path": "/", "status": 200, "end": "ok", "duration_us": 1000,
                       "attempts": 1, "peer": "10.0.0.1:4711", **fields})


LOGIN = {"name": "login", "matches": [{"method": "POST", "path": {"type": "Exact", "value": "/login"}}], "key": [{"type": "ClientAddress"}], "limits": [{"requests": 10, "per": "1m"}]}


def test_a_limit_refuses_what_it_would_have_refused(fleet):
    """Ten at once, then one in six seconds, for each client: exactly."""
    lines = [combined(second, client, "POST /login HTTP/1.1") for second in range(600) for client in ("10.0.0.1", "10.0.0.2")]
    lines += [combined(second, "10.0.0.3", "POST /login HTTP/1.1") for second in range(0, 600, 10)] + [combined(5)] * 100
    report = simulate(fleet, [limits(LOGIN)], lines)
    login = rules(report)["RateLimitPolicy/default/l", "login"]
    passed = 10 + 599 // 6  # of a client that asks each second
    assert (login["requests"], login["refused"], login["queued"], login["as"]) == (1260, 2 * (600 - passed), 0, "rate_limited")
    assert login["first_refused"] == "2026-11-28T10:00:11Z" and {entry["client"] for entry in login["most_refused"]} == {"10.0.0.1", "10.0.0.2"}
    assert (report["requests"], report["replayed"], report["passed"], report["refused"]) == (1360, 1360, 1360 - login["refused"], login["refused"])


def test_a_queue_holds_up_whom_it_would_have_held_up(fleet):
    """Ten at once that take a second: two run, three wait, of whom one for too long, and five find no place."""
    pool = {"name": "all", "maxConcurrent": 2, "maxQueue": 3, "queueTimeout": "1500ms", "perKey": {"key": [{"type": "Header", "name": "x-tenant-id"}], "maxConcurrent": 2}}
    priority = {"from": {"type": "Header", "name": "x-priority"}, "classes": ["high", "low"], "default": "low"}
    report = simulate(fleet, [policy("BulkheadPolicy", "b", pools=[pool], priority=priority)], [ours(0, duration_us=1000000)] * 10)
    found = rules(report)["BulkheadPolicy/default/b", "all"]
    assert (found["requests"], found["refused"], found["queued"]) == (10, 6, 3)
    assert 1000 <= found["queued_ms"]["p50"] <= found["queued_ms"]["max"] <= 1502
    assert report["passed"] == 4
    notes = "\n".join(report["not_simulated"])
    assert "counts by Header x-tenant-id, which is not in the log" in notes and "the class stands in header x-priority" in notes


def test_it_says_what_the_proxy_does(fleet):
    """Requests to a proxy without policies, whose log is replayed; then the same requests to a proxy with them."""
    backend = fleet.backend(reply(200, b"x"))
    inbound = {"in": {"forwardTo": backend.address}}
    policies = [limits({"name": "all", "limits": [{"requests": 7, "per": "1h"}]}, mode="DryRun")]

    def ask(hop):
        with Wire(hop.inbound["in"]) as wire:
            for number in range(20):
                assert wire.get(f"/{number}").response().status == 200
        return hop.logged(20, status=200)
    free = Hop(fleet, [service("auth", ["127.0.0.1:3"])], name="free", inbound=inbound, outbound=False, service="auth")
    ask(free)
    report = json.loads(run(fleet, "--json", fleet.write("simulated.yaml", documents(*policies)), free.access_log).stdout)
    bound = Hop(fleet, [service("auth", ["127.0.0.1:3"])], name="bound", inbound=inbound, outbound=False, service="auth", policies=policies)
    lines = ask(bound)
    told = sum("RateLimitPolicy/default/l: all" in line.get("dry_run", "") for line in lines)
    rule = rules(report)["RateLimitPolicy/default/l", "all"]
    assert told == 13 and (rule["requests"], rule["refused"], rule["dry_run"]) == (20, 13, True)
    assert report["passed"] == 20, "a dry run lets all pass"


def test_keys_are_logged_as_hashes_and_tiers_as_they_are(fleet):
    """A proxy without limits logs what a limit to come is to count by; no key can be read in the log."""
    backend = fleet.backend(reply(200, b"x"))
    telemetry = {"accessLog": {"path": str(fleet.folder / "keys.log"), "filter": "All", "headers": ["x-tier", "x-note"],
                               "keys": [{"type": "Header", "name": "x-api-key"}, {"type": "Cookie", "name": "session"}, {"type": "Query", "name": "tenant"}]}}
    hop = Hop(fleet, [service("auth", ["127.0.0.1:3"])], inbound={"in": {"forwardTo": backend.address}}, outbound=False, service="auth", telemetry=telemetry)
    hop.access_log = fleet.folder / "keys.log"
    with Wire(hop.inbound["in"]) as wire:
        for number in range(12):
            key = f"secret-{number % 3}"
            assert wire.get(f"/?tenant={key}", headers=(f"X-Api-Key: {key}", f"Cookie: a=b; session={key}", "X-Tier: " + ("gold", "free", "free")[number % 3], "X-Note: a & b=c, \u00fc")).response().status == 200
    lines = hop.logged(12, status=200)
    assert len({line["keys"] for line in lines}) == 3 and "secret" not in hop.access_log.read_text(encoding="utf-8")
    assert {line["request_headers"] for line in lines} == {f"x-tier={tier}&x-note=a+%26+b%3Dc%2C+%FC" for tier in ("gold", "free")}
    tiers = {"tier": {"from": {"type": "Header", "name": "x-tier"}, "default": "free"},
             "tiers": [{"name": "free", "limits": [{"requests": 1, "per": "1h"}]}, {"name": "gold", "limits": [{"requests": 3, "per": "1h"}]}]}
    for part in telemetry["accessLog"]["keys"]:
        config = fleet.write("simulated.yaml", documents(limits({"name": "plans", "key": [part], **tiers})))
        report = json.loads(run(fleet, "--json", config, hop.access_log).stdout)
        found = rules(report)["RateLimitPolicy/default/l", "plans"]
        assert (found["requests"], found["refused"]) == (12, 1 + 3 + 3), part
        assert not any("plans" in note for note in report["not_simulated"])


@pytest.mark.parametrize("is_told_by", ["keys", "limit"])
def test_claims_of_tokens_are_logged_as_hashes(fleet, is_told_by):
    """Which no other field has: of spec.telemetry.accessLog.keys, or of a limit in force."""
    issuer, backend = Issuer(), fleet.backend(reply(200, b"x"))
    part = {"type": "JWTClaim", "name": "realm.tenant"}
    tokens = policy("AuthenticationPolicy", "t", jwt=[{"name": "main", "issuer": "https://id.example", "jwks": {"file": str(fleet.write("keys", jwks(issuer)))}}])
    rule = {"name": "tenants", "key": [part], "limits": [{"requests": 100, "per": "1h"}]}
    telemetry = {"accessLog": {"path": str(fleet.folder / "keys.log"), "filter": "All", **({"keys": [part]} if is_told_by == "keys" else {})}}
    hop = Hop(fleet, [service("auth", ["127.0.0.1:3"])], inbound={"in": {"forwardTo": backend.address}}, outbound=False, service="auth", telemetry=telemetry,
              policies=[tokens] + ([limits(rule)] if is_told_by == "limit" else []))
    hop.access_log = fleet.folder / "keys.log"
    with Wire(hop.inbound["in"]) as wire:
        for number in range(6):
            token = issuer.token(realm={"tenant": f"secret-{number % 2}"})
            assert wire.get("/", headers=(f"Authorization: Bearer {token}",)).response().status == 200
        assert wire.get("/").response().status == 200  # without a token
    lines = hop.logged(7, status=200)
    assert len({line["keys"] for line in lines[:6]}) == 2 and lines[0]["keys"].startswith("JWTClaim+realm.tenant=") and "keys" not in lines[6]
    assert "secret" not in hop.access_log.read_text(encoding="utf-8")
    config = fleet.write("simulated.yaml", documents(limits({**rule, "limits": [{"requests": 2, "per": "1h"}]})))
    report = json.loads(run(fleet, "--json", config, hop.access_log).stdout)
    found = rules(report)["RateLimitPolicy/default/l", "tenants"]
    assert (found["requests"], found["refused"]) == (6, 2) or (found["requests"], found["refused"]) == (7, 2), found
    assert not any("realm.tenant" in note for note in report["not_simulated"])


def test_a_limit_in_force_has_its_keys_logged(fleet):
    backend = fleet.backend(reply(200, b"x"))
    rule = {"name": "keys", "key": [{"type": "Header", "name": "x-api-key"}, {"type": "ClientAddress"}], "limits": [{"requests": 100, "per": "1h"}]}
    hop = Hop(fleet, [service("auth", ["127.0.0.1:3"])], inbound={"in": {"forwardTo": backend.address}}, outbound=False, service="auth", policies=[limits(rule)])
    with Wire(hop.inbound["in"]) as wire:
        for key in ("a", "b", "a"):
            assert wire.get("/", headers=(f"X-Api-Key: {key}",)).response().status == 200
        assert wire.get("/").response().status == 200
    first, second, third, without = hop.logged(4, status=200)
    assert first["keys"] == third["keys"] != second["keys"] and first["keys"].startswith("Header+x-api-key=") and len(first["keys"]) == len("Header+x-api-key=") + 16
    assert "keys" not in without


def test_our_own_log_has_its_order_and_its_parts(fleet):
    """Lines are written at the end of requests: they are replayed by when they began. Identity and client count."""
    rule = {"name": "callers", "key": [{"type": "Identity"}], "limits": [{"requests": 2, "per": "1h"}]}
    caller = "spiffe://school.local/ns/school/sa/{}"
    lines = [ours(9 - number, peer_identity=caller.format(number % 2), peer=f"10.0.0.{number}:1") for number in range(10)]
    report = simulate(fleet, [limits(rule)], lines)
    found = rules(report)["RateLimitPolicy/default/l", "callers"]
    assert (found["requests"], found["refused"]) == (10, 6)
    assert found["first_refused"] == "2026-11-28T10:00:04Z"
    assert len(found["most_refused"]) == 3 and all(entry["client"] in {f"10.0.0.{number}" for number in range(10)} for entry in found["most_refused"])


def test_a_quota_begins_anew_on_the_next_day(fleet):
    rule = {"name": "daily", "limits": [{"requests": 1000, "per": "1s"}], "quota": {"requests": 5, "per": "Day"}}
    before, behind = [13 * 3600 + 59 * 60 + 40 + number for number in range(10)], [14 * 3600 + number for number in range(10)]
    report = simulate(fleet, [limits(rule)], [combined(second) for second in before + behind])
    found = rules(report)["RateLimitPolicy/default/l", "daily"]
    assert (found["requests"], found["refused"], found["as"]) == (20, 10, "quota_exceeded")


def test_who_waits_in_a_bulkhead_waits_as_long_as_the_log_makes_it(fleet):
    """Ten at once that take a second each, where two may run and three may wait: those for one second, one, and two."""
    pool = {"name": "all", "maxConcurrent": 2, "maxQueue": 3, "queueTimeout": "5s"}
    report = simulate(fleet, [policy("BulkheadPolicy", "b", pools=[pool])], [ours(0, duration_us=1000000) for _ in range(10)] + [ours(60, duration_us=1000000)])
    found = rules(report)["BulkheadPolicy/default/b", "all"]
    assert (found["requests"], found["refused"], found["as"], found["queued"], found["queued_ms"]["max"]) == (11, 5, "bulkhead_full", 3, 2000)
    assert report["passed"] == 6


def outbound(*policies, **entry):
    """Documents of a proxy with an outbound listener that calls `auth`."""
    found = documents(*policies)
    found[0]["spec"]["listeners"].append({"name": "out", "role": "Outbound", "address": "127.0.0.1:4"})
    found[1] = service("auth", ["127.0.0.1:3"], **entry)
    return found


def replay(fleet, config, lines, *arguments):
    return json.loads(run(fleet, "--json", *arguments, fleet.write("simulated.yaml", config), fleet.write("access.log", "".join(line + "\n" for line in lines))).stdout)


def called(seconds, **fields):
    return ours(seconds, listener="out", direction="outbound", **fields)


def test_a_breaker_opens_as_the_log_makes_it(fleet):
    """Five that fail, the last within a millisecond of its second, open it for a minute: sixty are refused, the next is the probe."""
    config = outbound(policy("TrafficPolicy", "t", circuitBreaker={"failureThreshold": 5, "openFor": "60s"}))
    report = replay(fleet, config, [called(number, status=503 if number < 5 else 200) for number in range(100)])
    refused = sum(rule["refused"] for rule in report["rules"] if rule["policy"].startswith("TrafficPolicy"))
    assert refused == 60 and report["passed"] == 100 - refused, report


def test_a_download_is_no_slow_answer(fleet):
    """The head came at once, the body took five seconds: nothing times out."""
    config = outbound(policy("TrafficPolicy", "t", timeouts={"backendRequest": "1s"}, circuitBreaker={"failureThreshold": 2}))
    report = replay(fleet, config, [called(number, duration_us=5000000, upstream_duration_us=10000) for number in range(20)])
    assert (report["passed"], report["refused"], report["otherwise"]) == (20, 0, {})
    slow = replay(fleet, config, [called(number, duration_us=5000000, upstream_duration_us=4900000) for number in range(20)])
    assert slow["refused"] > 0, "and what is slow does"


def test_what_never_ends_ends_with_the_simulation(fleet):
    config = outbound(policy("TrafficPolicy", "t", timeouts={"request": "0s", "idle": "0s"}, retry={"attempts": 3, "conditions": ["Reset", "GatewayError"]}))
    report = replay(fleet, config, [called(0), called(1, duration_us=2 * 3600 * 1000000), called(2, duration_us=3 * 3600 * 1000000, end="upstream_reset", status=502)])
    assert (report["replayed"], report["passed"]) == (3, 3)


def test_long_requests_are_answered_too(fleet):
    config = outbound(policy("TrafficPolicy", "t", timeouts={"backendRequest": "1s"}, circuitBreaker={"failureThreshold": 2}))
    report = replay(fleet, config, [called(number, path="/" + "x" * 7000, user_agent="y" * 20000, request_id="1") for number in range(20)])
    assert (report["passed"], report["refused"], report["otherwise"]) == (20, 0, {})


def test_failed_calls_of_grpc_fail(fleet):
    config = outbound(policy("TrafficPolicy", "t", circuitBreaker={"failureThreshold": 5}))
    report = replay(fleet, config, [called(number, method="POST", path="/s/m", grpc_status=14) for number in range(20)])
    assert report["refused"] == 15 and any("20 calls of gRPC" in note for note in report["not_simulated"])


def test_a_host_is_given_where_the_format_has_none(fleet):
    config = outbound()
    config[0]["spec"]["listeners"] = config[0]["spec"]["listeners"][1:]
    lines = [combined(number) for number in range(9)]
    without = replay(fleet, config, lines)
    assert (without["passed"], sum(without["otherwise"].values())) == (0, 9) and any("give --host" in note for note in without["not_simulated"])
    assert replay(fleet, config, lines, "--host", "auth")["passed"] == 9


def test_nginx_tells_when_a_request_was_over(fleet):
    """Ten requests that began together and took longer and longer were in flight together."""
    pool = {"name": "all", "maxConcurrent": 5, "maxQueue": 0, "queueTimeout": "0s"}
    report = simulate(fleet, [policy("BulkheadPolicy", "b", pools=[pool])], [combined(10 + number, more=f" {10 + number}.000") for number in range(10)])
    assert rules(report)["BulkheadPolicy/default/b", "all"]["refused"] == 5


def test_a_policy_that_met_nothing_says_why(fleet):
    rule = {"name": "beta", "matches": [{"headers": [{"name": "x-beta", "value": "yes"}]}], "limits": [{"requests": 1, "per": "1h"}]}
    allow = policy("AuthorizationPolicy", "a", rules=[{"name": "friends", "from": [{"identities": ["spiffe://school.local/ns/school/sa/friend"]}]}])
    report = simulate(fleet, [limits(rule), allow], [combined(0), combined(1)])
    told = "\n".join(report["not_simulated"])
    assert "RateLimitPolicy/default/l: beta: has a condition on the header x-beta" in told
    assert "AuthorizationPolicy/default/a: the log tells of no caller who it is" in told


def test_what_the_log_does_not_tell_is_said(fleet):
    by_key = {"name": "keys", "key": [{"type": "Header", "name": "x-api-key"}], "tier": {"from": {"type": "Header", "name": "x-tier"}, "default": "free"},
              "tiers": [{"name": "free", "limits": [{"requests": 1, "per": "1h"}]}]}
    fault = policy("FaultPolicy", "f", rules=[{"name": "down", "abort": {"status": 503, "percent": 50}}])
    report = simulate(fleet, [limits(by_key), fault], [combined(1), combined(2)])
    told = "\n".join(report["not_simulated"])
    for part in ("RateLimitPolicy/default/l: keys: counts by Header x-api-key", "the tier stands in header x-tier", "does not say how long requests took", "whole seconds"):
        assert part in told
    assert "FaultPolicy" not in told, "it acts in the caller's proxy, and this is the callee's"
    assert rules(report)["RateLimitPolicy/default/l", "keys"]["refused"] == 1


def test_what_is_no_line_is_counted_and_nothing_breaks(fleet):
    hostile = ["", "{", "{}", '{"time": "x", "method": "GET"}', '{"time": 1}', '{"time": "2026-11-28T10:00:00Z", "method": 5}', "[" * 1000, "\x00\x01", 'a b [c] "d" e', "x" * 70000,
               '1.2.3.4 - - [99/Xxx/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"', '1.2.3.4 - - [28/Nov/2026:10:00:00 +0000] "-" 400 0 "-" "-"', ours(3)]
    odd = [combined(1, client="::1"), combined(1, client="nonsense"), combined(1, line="FOO /%zz HTTP/1.1"), combined(1, line="GET http://[bad/ HTTP/1.1"), combined(1, line="PRI * HTTP/2.0"),
           combined(2, more=" 0.250"), combined(2, more=" -"), combined(2, more=" 1e99")]
    report = simulate(fleet, [limits(LOGIN)], [combined(0), *hostile, *odd])
    assert report["requests"] == 1 + len(odd) == report["replayed"]
    assert report["refused_otherwise"] >= 2, "paths that no proxy takes"
    assert any(note.startswith(f"{len(hostile) - 1} lines are no requests, line 3 first") for note in report["not_simulated"]), "an empty line is none"


@pytest.mark.parametrize("arguments, code, told", [
    ([], 2, "give files or folders of documents, then an access log"), (["--fast", "a", "b"], 2, "unknown option --fast; there are --json and --host NAME"), (["simulated.yaml", "nowhere.log"], 1, "nowhere.log: No such file"),
    (["simulated.yaml", "empty.log"], 1, "no line is a request"), (["bad.yaml", "access.log"], 3, "is not allowed"), (["nowhere.yaml", "access.log"], 3, "cannot be read")])
def test_wrong_usage_is_told(fleet, arguments, code, told):
    fleet.write("simulated.yaml", documents())
    fleet.write("access.log", combined(0) + "\n")
    fleet.write("empty.log", "\n\n")
    fleet.write("bad.yaml", documents(limits({**LOGIN, "limits": [{"requests": 0, "per": "1m"}]})))
    assert told in run(fleet, *arguments, code=code).stderr


def test_the_table_reads_well_and_standard_input_will_do(fleet):
    config = fleet.write("simulated.yaml", documents(limits(LOGIN)))
    done = run(fleet, config, "-", text="".join(combined(0, line="POST /login HTTP/1.1") + "\n" for _ in range(15)))
    words = next(line for line in done.stdout.splitlines() if line.startswith("RateLimitPolicy/default/l")).split()
    assert words == ["RateLimitPolicy/default/l", "login", "15", "5", "33.33%", "0", "-", "-", "-", "rate_limited"]
    assert "most often: 10.0.0.1 (5)" in done.stdout


def test_the_example_does_what_its_page_says(fleet):
    names = [document["metadata"]["name"] for path in EXAMPLE.glob("*.yaml") for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document["kind"] == "RateLimitPolicy"]
    assert names
    log = fleet.write("access.log", "".join(combined(0) + "\n" for _ in range(100)))
    report = json.loads(run(fleet, "--json", EXAMPLE, log).stdout)
    assert report["replayed"] + report.get("without_listener", 0) == 100
