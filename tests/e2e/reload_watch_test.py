# presets: dev tsan release
"""Documents that change are taken without being asked for, however they are changed; a set that is wrong is refused as a whole and the last good one stays."""

import os
import shutil
import signal

import yaml

from support.backend import reply
from support.fleet import BIN, answers, eventually, take_port
from support.hop import API, Hop, service, traffic
from support.secret_volume import SecretVolume
from support.wire import Wire, exchange


def text(*documents):
    return yaml.safe_dump_all(documents, sort_keys=False)


class Folder(Hop):
    """A hop whose documents are a folder that the test changes as it likes; at first proxy.yaml alone."""

    def __init__(self, fleet, folder="documents", arguments=(), **options):
        super().__init__(fleet, name="hop", start=False, workers=2, **options)
        self.folder = fleet.folder / folder
        self.arguments = arguments

    def run(self, path=None):
        self.process = self.fleet.start("hop", [BIN / "outrigger-proxy", "--config", path or self.folder, *self.arguments], answers(self.metrics))
        return self

    def put(self, name, *documents):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(*documents), encoding="utf-8")
        return path

    def services(self):
        return [row["service"].split("/")[1].split(":")[0] for row in self.page("/clusters")]

    def has(self, *names):
        """Waits until these services, and no others, are in force in every worker."""
        eventually(lambda: sorted(self.services()) == sorted(names), what=f"services {names}, last {self.services()}")
        eventually(lambda: self.worker_generation() == self.generation())

    def refused(self):
        return self.figure("outrigger_config_loads_total", result="refused")


def entry(name, address="127.0.0.1:1"):
    return service(name, [address])


def folder_of(fleet, **options):
    hop = Folder(fleet, **options)
    hop.put("proxy.yaml", hop.proxy)
    return hop


def test_files_of_a_folder_come_change_and_go(fleet):
    hop = folder_of(fleet).run()
    hop.has()
    hop.put("a.yaml", entry("a"))
    hop.has("a")
    hop.put("more.json", entry("b"))  # YAML in it is not JSON, and is read all the same
    hop.has("a", "b")
    hop.put("a.yaml", entry("a"), entry("c"))
    hop.has("a", "b", "c")
    (hop.folder / "a.yaml").rename(hop.folder / "a.yaml.off")
    hop.has("b")
    (hop.folder / "a.yaml.off").rename(hop.folder / "d.yml")
    hop.has("a", "b", "c")
    (hop.folder / "more.json").unlink()
    hop.has("a", "c")
    assert hop.refused() == 0


def test_folders_below_come_and_go(fleet):
    hop = folder_of(fleet).run()
    hop.put("inner/deep/a.yaml", entry("a"))
    hop.has("a")
    hop.put("inner/deep/b.yaml", entry("b"))
    hop.has("a", "b")
    shutil.rmtree(hop.folder / "inner")
    hop.has()
    hop.put("inner/c.yaml", entry("c"))
    hop.has("c")
    hop.put("inner/c.yaml", entry("d"))
    hop.has("d")


def test_the_whole_folder_is_replaced(fleet):
    hop = folder_of(fleet).run()
    for name in ("a", "b", "c"):
        fresh = fleet.folder / "fresh"
        shutil.copytree(hop.folder, fresh)
        (fresh / "service.yaml").write_text(text(entry(name)), encoding="utf-8")
        hop.folder.rename(fleet.folder / f"old-{name}")
        fresh.rename(hop.folder)
        hop.has(name)
        hop.put("service.yaml", entry(name), entry("more"))  # and the new one is watched as well
        hop.has(name, "more")


def test_a_config_map_is_swapped(fleet):
    hop = Folder(fleet)
    volume = SecretVolume(hop.folder)
    for step, names in enumerate((["a"], ["a", "b"], ["c"], [], ["d"])):
        volume.publish({"proxy.yaml": text(hop.proxy).encode(), "services.yaml": text(*map(entry, names)).encode()})
        if step == 0:
            hop.run()
        hop.has(*names)
    assert hop.refused() == 0


def test_one_file_is_renamed_over(fleet):
    hop = folder_of(fleet)
    path = hop.put("proxy.yaml", hop.proxy, entry("a"))
    hop.run(path)
    for name in ("b", "c", "d"):
        hop.put("other", hop.proxy, entry(name)).rename(path)
        hop.has(name)


def test_one_file_is_a_symlink_that_is_pointed_elsewhere(fleet):
    hop = folder_of(fleet)
    for name in ("a", "b", "c"):
        hop.put(f"versions/{name}", hop.proxy, entry(name))
    link = fleet.folder / "current.yaml"
    link.symlink_to(hop.folder / "versions/a")
    hop.run(link)
    for name in ("b", "c", "a"):
        os.symlink(hop.folder / "versions" / name, fleet.folder / "next")
        os.rename(fleet.folder / "next", link)
        hop.has(name)
    # What the link leads to is written in place, in a folder that is not read and under a name that says nothing.
    hop.put("versions/a", hop.proxy, entry("e"))
    hop.has("e")


def test_sighup_reads_at_once_whether_or_not_anything_changed(fleet):
    hop = folder_of(fleet).run()
    for generation in (2, 3):
        hop.process.signal(signal.SIGHUP)
        eventually(lambda wanted=generation: hop.generation() == wanted)


def test_listeners_come_and_go_with_the_documents(fleet):
    hop = folder_of(fleet)
    hop.put("service.yaml", entry("backend", fleet.backend(reply(200, b"x")).address))
    hop.run()
    more = hop.add_listener()
    hop.put("proxy.yaml", hop.proxy)
    eventually(lambda: hop.generation() == 2)
    assert exchange(more, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    hop.proxy["spec"]["listeners"].pop()
    with Wire(more) as kept:
        assert kept.get().response().status == 200
        hop.put("proxy.yaml", hop.proxy)
        eventually(lambda: hop.generation() == 3)
        kept.rest()
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200


def test_a_wrong_set_is_refused_whole_and_the_last_good_one_stays(fleet):
    hop = folder_of(fleet)
    hop.put("service.yaml", entry("backend", fleet.backend(reply(200, b"x")).address))
    hop.run()
    with Wire(hop.address) as wire:
        hop.put("good.yaml", entry("good"))
        hop.has("backend", "good")
        hop.put("bad.yaml", {"apiVersion": API, "kind": "ServiceEntry", "metadata": {"name": "bad"}, "spec": {"hosts": ["bad"], "colour": "red"}})
        hop.put("good.yaml", entry("better"))
        errors = eventually(lambda: hop.page("/config")["pending_errors"])
        assert any("bad.yaml:" in line and "spec.colour" in line for line in errors)
        assert sorted(hop.services()) == ["backend", "good"] and wire.get().response().status == 200
        for line in errors:
            assert line in hop.process.output()
        (hop.folder / "bad.yaml").unlink()
        hop.has("backend", "better")
        assert hop.page("/config")["pending_errors"] == [] and wire.get().response().status == 200


def test_a_half_written_set_is_no_error(fleet):
    hop = folder_of(fleet, arguments=["--debug"])
    hop.put("a.yaml", entry("a"))
    hop.run()

    def doubted():
        return hop.process.output().count("event=config_doubted")

    # A policy comes before the service that it is for. How soon the test gets to write that is not in its hands: once it was in time, it was not refused.
    for attempt in range(20):
        seen, refused, name = doubted(), hop.refused(), f"late{attempt}"
        hop.put("policy.yaml", traffic(name, connections={"max": 1}))
        eventually(lambda before=seen: doubted() > before)
        hop.put("service.yaml", entry(name))
        hop.has("a", name)
        if hop.refused() == refused:
            return
    raise AssertionError("it was refused each time")


def test_a_set_that_stays_wrong_is_refused_once(fleet):
    hop = folder_of(fleet, arguments=["--debug"]).run()
    hop.put("bad.yaml", {"apiVersion": API, "kind": "Nothing", "metadata": {"name": "bad"}})
    eventually(lambda: hop.refused() == 1)
    assert "event=config_doubted" in hop.process.output()
    hop.put("note.txt", {"this is": "not read"})
    hop.put("good.yaml", entry("good"))  # a further change of the set, still wrong
    eventually(lambda: hop.refused() == 2)
    assert hop.services() == []


def test_the_last_of_many_versions_is_in_force(fleet):
    hop = folder_of(fleet).run()
    for number in range(300):
        hop.put("service.yaml", *(entry(f"s{number}-{part}") for part in range(5)))
    hop.has(*(f"s299-{part}" for part in range(5)))


def test_an_address_that_is_taken_refuses_the_set(fleet):
    hop = folder_of(fleet)
    hop.put("service.yaml", entry("backend", fleet.backend(reply(200, b"x")).address))
    hop.run()
    other = fleet.backend(port=take_port())
    hop.add_listener()
    hop.proxy["spec"]["listeners"][-1]["address"] = other.address
    hop.put("proxy.yaml", hop.proxy)
    errors = eventually(lambda: hop.page("/config")["pending_errors"])
    assert other.address in errors[0] and "proxy.yaml:" in errors[0]
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    other.close()
    assert hop.post("/reload")[0] == 200
    assert exchange(other.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
