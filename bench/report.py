"""Turns the samples of a run into rows (medians, ratios, verdicts), a table for the terminal, and JSON."""
import platform
import statistics
import subprocess

from machine import CORES

COLUMNS = ["ours", "nginx", "haproxy", "relay"]
PEERS = ["nginx", "haproxy"]


def summary(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "samples": [round(value, 3) for value in values]}


def paired_ratio(ours, better):
    return statistics.median(mine / theirs for mine, theirs in zip(ours, better) if theirs)


def verdict(value, goal, ours, bound):
    """ok or MISSED; unclear where it is missed by less than the rounds lie apart: `ours` against `bound`, both with all their rounds."""
    if value <= goal:
        return "ok"
    return "unclear" if len(ours["samples"]) > 1 and ours["low"] <= bound else "MISSED"


def row_result(case, row, samples):
    """The figures of one row for each peer, and how ours stands to its goal; the verdict is None where it cannot be told."""
    figures = {name: summary(values) for name, values in samples.get(row.key, {}).items()}
    result = {"case": case.name, "row": row.key, "title": row.title, "unit": row.unit, "figures": figures, "ratio": None, "verdict": None,
              "goal": f"<= {row.absolute:g} {row.unit}".strip() if row.absolute is not None else f"<= {row.ratio:g} x" if row.ratio is not None else ""}
    peers = [name for name in PEERS if name in figures]
    if peers:
        better = min(peers, key=lambda name: figures[name]["median"])
        result["better"] = better
        if "ours" in figures and figures[better]["median"] > 0:
            result["ratio"] = (paired_ratio(samples[row.key]["ours"], samples[row.key][better]) if case.paired
                               else figures["ours"]["median"] / figures[better]["median"])
    if "ours" in figures and row.absolute is not None:
        result["verdict"] = verdict(figures["ours"]["median"], row.absolute, figures["ours"], row.absolute)
    elif result["ratio"] is not None and row.ratio is not None:
        result["verdict"] = verdict(result["ratio"], row.ratio, figures["ours"], row.ratio * figures[better]["high"])
    return result


def digits(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(figures, name):
    """The median and how far the rounds lie apart, as a part of it."""
    if name not in figures:
        return "-"
    figure = figures[name]
    spread = (figure["high"] - figure["low"]) / 2 / figure["median"] * 100 if figure["median"] > 0 else 0
    return digits(figure["median"]) + (f" ±{spread:.0f}%" if len(figure["samples"]) > 1 else "")


def table_lines(results, names):
    heads = ["case", "unit", *[name for name in COLUMNS if name in names], "ratio", "goal", ""]
    lines = [heads]
    for result in results:
        ratio = "-" if result["ratio"] is None else f"{result['ratio']:.2f} x"
        lines.append([result["title"], result["unit"], *[cell(result["figures"], name) for name in COLUMNS if name in names],
                      ratio, result["goal"], result["verdict"] or ""])
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        yield "  ".join(text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths))).rstrip()


def version(arguments):
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError:
        return "not there"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def as_json(results, bench, binaries):
    return {
        "machine": {"system": platform.system() + " " + platform.release(), "processor": processor(), "cores": len(CORES)},
        "versions": {"nginx": version(["nginx", "-v"]), "haproxy": version(["haproxy", "-v"]), "h2load": version(["h2load", "--version"]),
                     "ours": version([binaries + "/outrigger-proxy", "--version"])},
        "rounds": bench.rounds, "seconds": bench.seconds,
        "results": results,
        "notes": bench.notes,
        "failures": {f"{case}, {peer}": text for (case, peer), text in bench.failures.items()},
    }


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
