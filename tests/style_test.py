# presets: dev
"""The rules of docs/principles.md that a machine can check: layers, sizes, banned calls, dead files, texts.

Each check is one test; it collects all faults before it fails and says for each what to do instead. It reads files only: nothing is built.
"""

import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A folder may include, and link, only itself and folders of a lower row. docs/architecture.md draws them.
ROWS = {
    "base": 0,
    "certs": 1, "http": 1, "telemetry": 1,
    "net": 2, "config": 2,
    "rpc": 3, "upstream": 3,
    "identity": 4, "stream": 4,
    "downstream": 5, "filters": 5,
    "agent": 6, "admin": 6,
    "app": 7, "cli": 7,
}
# The control plane stands beside the proxy and shares only these with it.
CONTROL_USES = {"base", "certs", "http", "net", "telemetry", "config", "rpc"}

FILE_LINES = 800
FUNCTION_LINES = 70
HEADER_LINES = 200
VTABLE_SLOTS = 8

# A function that may be longer carries this line before it, with the reason; clang-tidy knows it too.
LONG_FUNCTION = re.compile(r"// NOLINTNEXTLINE\(readability-function-size\): \S+")

# name of a call -> what to use instead
BANNED = {
    "gets": "nothing", "alloca": "pool_alloc", "system": "nothing", "popen": "nothing",
    "gmtime": "gmtime_r", "localtime": "gmtime_r", "ctime": "gmtime_r and snprintf", "asctime": "gmtime_r and snprintf",
    "rand": "rng_next", "srand": "rng_init", "random": "rng_next", "srandom": "rng_init",
    "sleep": "an event that is waited for", "usleep": "an event that is waited for", "nanosleep": "an event that is waited for",
    "setjmp": "an error that is returned", "longjmp": "an error that is returned",
    "assert": "CHECK, which is on in a release too",
}
# In the programs that users run; tests and the load programs of benchmarks may call these.
BANNED_IN_PROGRAMS = {
    "strcpy": "struct bytes, pool_copy", "strncpy": "struct bytes, pool_copy", "stpcpy": "struct bytes, pool_copy",
    "strcat": "struct bytes, buffer_append", "strncat": "struct bytes, buffer_append",
    "sprintf": "snprintf or pool_format", "vsprintf": "vsnprintf or pool_format",
    "strtok": "an own walk over struct bytes", "strtok_r": "an own walk over struct bytes",
    "atoi": "a parser that tells errors", "atol": "a parser that tells errors", "atoll": "a parser that tells errors",
    "atof": "a parser that tells errors",
    "time": "clock_wall_ns, passed in", "gettimeofday": "clock_wall_ns, passed in", "signal": "uv_signal_start, or sigaction in app",
    "inet_addr": "inet_pton", "inet_ntoa": "inet_ntop", "gethostbyname": "net/dns",
}
# In those programs too, but in base.
ALLOCATORS = {name: "pool_alloc, alloc_or_abort, or try_alloc where a peer chose the size"
              for name in ("malloc", "calloc", "realloc", "strdup", "strndup")}
# (path, call) -> why it stands there all the same
BANNED_EXEMPT = {
    ("proxy/config/errors.c", "realloc"): "a list that grows with the documents' errors, none of them a peer's",
    ("proxy/config/files.c", "realloc"): "a list that grows with the files of a folder, none of them a peer's",
}

# What stands for what else; a name's words are split at '_'.
NAMES_BANNED = {"ctx": "name what it is", "util": "name what it does", "utils": "name what it does", "manager": "name what it does"}

SKIPPED_FOLDERS = {"build", ".git", "__pycache__", ".pytest_cache"}
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".cmake", ".txt", ".json", ".yaml", ".yml", ".conf", ".cfg", ".tpl", ".lua", ".proto", ".html", ".css", ".js", ".sql"}
TEXT_NAMES = {"dev", "run", ".clang-format", ".clang-tidy", ".gitignore"}

# Hosts of package registries; put together here, so that this file passes its own test.
REGISTRIES = [".".join(parts) for parts in (
    ("deb", "debian", "org"), ("registry", "npmjs", "org"), ("pypi", "org"), ("files", "pythonhosted", "org"),
    ("crates", "io"), ("proxy", "golang", "org"), ("rubygems", "org"))]


@lru_cache(None)
def files():
    found = []
    folders = [ROOT]
    while folders:
        for entry in folders.pop().iterdir():
            if entry.is_symlink() or entry.name in SKIPPED_FOLDERS:
                continue
            if entry.is_dir():
                folders.append(entry)
            else:
                found.append(entry)
    return sorted(found)


@lru_cache(None)
def text(path):
    return path.read_text(encoding="utf-8")


def name(path):
    return str(path.relative_to(ROOT))


def c_files(*suffixes):
    return [path for path in files() if path.suffix in (suffixes or (".c", ".h")) and "corpus" not in path.parts]


def text_files():
    chosen = [path for path in files() if path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES]
    return [path for path in chosen if not name(path).startswith(("tests/corpus/", "tests/golden/", "bench/results/"))]


def folder_of(path):
    """The layer that a file belongs to; None for tests, benchmarks and the like, which may use all."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "proxy" and len(parts) > 2:
        return parts[1]
    if parts[0] in ("certs", "filters", "control"):
        return parts[0]
    return None


def may_use(user, used):
    if user == used:
        return True
    if user == "control":
        return used in CONTROL_USES
    return used in ROWS and ROWS[used] < ROWS[user]


LITERAL_OR_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


@lru_cache(None)
def code(path):
    """The text with comments, strings and character constants blanked, line for line."""
    return LITERAL_OR_COMMENT.sub(blank, text(path))


def line_of(source, position):
    return source.count("\n", 0, position) + 1


@lru_cache(None)
def functions(path):
    """(name, first line, last line) of each function that is defined in the file."""
    source = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code(path), flags=re.M)
    found = []
    depth = 0
    begin = 0  # of the declaration at depth 0
    defined = None
    for match in re.finditer(r"[{};]", source):
        sign, at = match.group(), match.start()
        if sign == "{":
            if depth == 0:
                head = source[begin:at]
                call = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)\s*\)?", "", head))
                start = begin + len(head) - len(head.lstrip())
                defined = (call.group(1), line_of(source, start)) if call and "=" not in head else None
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                if defined:
                    found.append((*defined, line_of(source, at)))
                begin = at + 1
                defined = None
        elif depth == 0:
            begin = at + 1
    return found


def includes(path):
    """(line, header) of each include in quotes."""
    return [(line_of(text(path), match.start()), match.group(1)) for match in re.finditer(r'^#include "([^"]+)"', text(path), re.M)]


def libraries():
    """library -> (its CMakeLists.txt, the libraries of ours that it links)."""
    found = {}
    for path in files():
        if path.name != "CMakeLists.txt":
            continue
        for match in re.finditer(r"^outrigger_library\((\w+)\s+LINKS\s+([^)]*)\)", text(path), re.M):
            linked = [word[len("outrigger-"):] for word in match.group(2).split() if word.startswith("outrigger-")]
            found[match.group(1)] = (path, [word for word in linked if word not in ("llhttp", "options")])
    return found


def report(faults, rule):
    if faults:
        pytest.fail(rule + "\n" + "\n".join(sorted(faults)), pytrace=False)


def test_includes_go_down_the_layers():
    faults = []
    for path in c_files():
        user = folder_of(path)
        if user is None:
            continue
        for line, header in includes(path):
            used = header.split("/")[0] if "/" in header else None
            if used is None:
                faults.append(f"{name(path)}:{line}: \"{header}\" names no folder: write \"{user}/{header}\"")
            elif not may_use(user, used):
                faults.append(f"{name(path)}:{line}: {user} may not include {used} (\"{header}\")")
    report(faults, "A folder includes only itself and folders of lower rows (docs/architecture.md).")


def test_libraries_link_down_the_layers():
    faults = []
    for library, (path, linked) in libraries().items():
        if library not in ROWS and library != "control":
            faults.append(f"{name(path)}: {library} has no row in tests/style_test.py")
            continue
        faults += [f"{name(path)}: {library} may not link {used}" for used in linked if used == library or not may_use(library, used)]
    report(faults, "A library links only libraries of lower rows (docs/architecture.md).")


def test_what_is_included_is_linked():
    known = libraries()

    def reach(library):
        seen = set()
        waiting = [library]
        while waiting:
            for linked in known[waiting.pop()][1]:
                if linked in known and linked not in seen:
                    seen.add(linked)
                    waiting.append(linked)
        return seen | {library}

    faults = set()
    for path in c_files():
        user = folder_of(path)
        if user not in known or path.name == "main.c":
            continue
        for _, header in includes(path):
            used = header.split("/")[0]
            if used in known and used not in reach(user):
                faults.add(f"{name(known[user][0])}: {user} includes {used} ({name(path)}) and does not link outrigger-{used}")
    report(faults, "A library links what it includes.")


def test_includes_stand_in_order():
    faults = []
    for path in c_files(".c"):
        lines = [(number, line) for number, line in enumerate(text(path).split("\n"), 1) if line.startswith("#include ")]
        kinds = [line.split()[1][0] for _, line in lines]
        if '"' in kinds and "<" in kinds and "<" in kinds[:len(kinds) - kinds[::-1].index('"')] and folder_of(path):
            faults.append(f"{name(path)}:{lines[kinds.index('<')][0]}: project headers come before those of libraries and libc")
        own = path.with_suffix(".h")
        if own.exists() and lines and folder_of(path) and f'"{folder_of(path)}/{own.name}"' not in lines[0][1]:
            faults.append(f"{name(path)}:{lines[0][0]}: its own header comes first")
    report(faults, "Includes: own header, project, libraries, libc.")


def test_files_are_short():
    faults = []
    for path in c_files() + [path for path in text_files() if path.suffix in (".py", ".sh") or path.name == "dev"]:
        count = text(path).count("\n")
        if count > FILE_LINES:
            faults.append(f"{name(path)}: {count} lines")
        elif path.suffix == ".h" and folder_of(path) and count > HEADER_LINES:
            faults.append(f"{name(path)}: {count} lines in a header")
    report(faults, f"A file has at most {FILE_LINES} lines, a public header {HEADER_LINES}: does it hold more than one concept?")


def test_functions_are_short():
    faults = []
    for path in c_files(".c", ".h"):
        lines = text(path).split("\n")
        for function, first, last in functions(path):
            exempt = LONG_FUNCTION.search(lines[first - 2]) if first > 1 else None
            if last - first + 1 > FUNCTION_LINES and not exempt:
                faults.append(f"{name(path)}:{first}: {function} has {last - first + 1} lines")
            elif last - first + 1 <= FUNCTION_LINES and exempt:
                faults.append(f"{name(path)}:{first}: {function} needs no exemption any more")
    report(faults, f"A function has at most {FUNCTION_LINES} lines; a switch in the order of the traffic may be exempted with its reason.")


def banned_in(path):
    folder = folder_of(path)
    if folder is None:
        return BANNED
    return {**BANNED, **BANNED_IN_PROGRAMS, **({} if folder == "base" else ALLOCATORS)}


def test_banned_calls():
    faults = []
    unneeded = set(BANNED_EXEMPT)
    for path in c_files():
        banned = banned_in(path)
        for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", code(path)):
            function = match.group(1)
            if (name(path), function) in BANNED_EXEMPT:
                unneeded.discard((name(path), function))
            elif function in banned:
                faults.append(f"{name(path)}:{line_of(code(path), match.start())}: {function}: use {banned[function]}")
    faults += [f"{path}: {function} needs no exemption any more" for path, function in unneeded]
    report(faults, "Calls that are not used here.")


def test_documents_are_revived_before_their_trees_are_looked_at():
    faults = []
    for path in c_files():
        if not re.fullmatch(r"proxy/config/(check|freeze|merge)\w*\.c", name(path)):
            continue
        faults += [f"{name(path)}:{line_of(code(path), match.start())}: root" for match in re.finditer(r"->root\b", code(path))]
        for function, first, last in functions(path):
            body = "\n".join(code(path).splitlines()[first - 1 : last])
            # The one Proxy always has its tree.
            looked_at = {match.group(1) for match in re.finditer(r"\b(\w+)->(?:spec_node|metadata)\b", body)} - {"proxy"}
            faults += [f"{name(path)}:{first}: {function}: {it}" for it in sorted(looked_at) if f"document_revive({it})" not in body]
    report(faults, "What judges documents against others may have them without trees (config/document.h): `line` for the place, document_revive before a node.")


def test_no_sleep_in_python():
    faults = []
    for path in files():
        # Soak runs do things at a stated rate ("reload every 100 ms"): that is no waiting for something to happen.
        if path.suffix != ".py" or name(path) == "tests/support/fleet.py" or name(path).startswith("tests/soak/") or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(text(path).split("\n"), 1):
            if re.search(r"\bsleep\(", line):
                faults.append(f"{name(path)}:{number}: wait for what is to happen (eventually() of tests/support/fleet.py)")
    report(faults, "A test waits for events, never for time.")


# Beside the fleet, with the reason.
STARTERS = {
    "tests/support/fleet.py": "it is the place",
    "tests/soak/application.py": "is itself a process of the fleet, and forks for each connection, so that killing it kills what is under way",
    "tests/soak/bare.py": "runs package tools and a shell in another root, each to its end",
    "tests/regress/full_pipes_test.py": "its proxy writes into a pipe that nobody reads, where the fleet keeps a file",
}


def test_processes_are_started_by_the_fleet_alone():
    faults = []
    for path in files():
        if path.suffix != ".py" or name(path) in STARTERS or path == Path(__file__).resolve():
            continue
        for match in re.finditer(r"subprocess\.Popen|os\.(fork|spawn\w*|system|kill)\(", text(path)):
            faults.append(f"{name(path)}:{line_of(text(path), match.start())}: {match.group()}: use Fleet.start of tests/support/fleet.py")
    report(faults, "tests/support/fleet.py alone starts and stops processes that go on running.")


def test_names():
    faults = []
    for path in c_files():
        for word in set(path.stem.split("_")) & NAMES_BANNED.keys():
            faults.append(f"{name(path)}: a file named {word}: {NAMES_BANNED[word]}")
        for match in re.finditer(r"\b[a-z][a-z0-9_]*\b", code(path)):
            for word in set(match.group().split("_")) & NAMES_BANNED.keys():
                faults.append(f"{name(path)}:{line_of(code(path), match.start())}: {match.group()}: {NAMES_BANNED[word]}")
    report(faults, "Names say what a thing is.")


def test_no_unfinished_marks():
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
    faults = [f"{name(path)}:{line_of(text(path), match.start())}: {match.group()}"
              for path in text_files() for match in marks.finditer(text(path))]
    report(faults, "What is to be done is done, or stands in the README's table of what works.")


def test_white_space():
    faults = []
    for path in text_files():
        for number, line in enumerate(text(path).split("\n"), 1):
            if "\t" in line:
                faults.append(f"{name(path)}:{number}: a tab")
            if line != line.rstrip():
                faults.append(f"{name(path)}:{number}: space at the end of the line")
        if text(path) and (not text(path).endswith("\n") or text(path).endswith("\n\n")):
            faults.append(f"{name(path)}: ends in one line break, no more and no less")
    report(faults, "White space.")


def test_files_begin_with_what_they_are():
    faults = []
    for path in text_files():
        start = text(path)
        if path.suffix in (".c", ".h"):
            good = re.match(r"// \S.{30,}", start)
        elif path.suffix in (".py", ".sh") or path.name in ("dev", "run"):
            start = re.sub(r"\A#![^\n]*\n", "", start)
            good = not start.strip() or re.match(r'(# presets: [^\n]*\n)?(# \S|""")', start)
        else:
            continue
        if not good:
            faults.append(f"{name(path)}: begins with no comment")
    report(faults, "A file begins with a paragraph: what it is, who uses it, what it does not do.")


def has_header(path):
    """file.c stands beside file.h; where several files share one header of their folder, they include it first."""
    headers = includes(path)
    own = folder_of(path) or "support"
    return path.with_suffix(".h").exists() or bool(headers) and headers[0][1].startswith(own + "/")


def test_every_source_has_its_header():
    faults = [f"{name(path)}: no {path.stem}.h beside it, nor does it begin with a header of its folder" for path in c_files(".c")
              if (folder_of(path) or name(path).startswith("tests/support/")) and path.name != "main.c" and not has_header(path)]
    report(faults, "One concept, one pair of files; only main.c stands alone.")


def test_no_dead_files():
    used = {header for path in c_files() for _, header in includes(path)}
    cmake = "\n".join(text(path) for path in files() if path.name == "CMakeLists.txt")
    faults = []
    for path in c_files():
        short = name(path)
        parts = short.split("/")
        if path.suffix == ".h":
            within = "/".join(parts[1:]) if parts[0] in ("proxy", "tests") else short
            others = used | {header for user in c_files() if user.parent == path.parent for _, header in includes(user) if header == path.name}
            if within not in others and path.name not in others:
                faults.append(f"{short}: nobody includes it")
        elif parts[:2] == ["tests", "unit"]:
            if not re.search(r"_(test|fuzz)$", path.stem) or len(parts) != 4:
                faults.append(f"{short}: neither a _test.c nor a _fuzz.c of a library: it is not built")
        elif folder_of(path):
            if not (path.parent / "CMakeLists.txt").exists():
                faults.append(f"{short}: its folder is not built")
        elif parts[:2] != ["tests", "support"] and path.name not in cmake:
            faults.append(f"{short}: no CMakeLists.txt names it")
    report(faults, "A file that nobody uses is deleted.")


def test_no_dead_python():
    everything = "\n".join(text(path) for path in files() if path.suffix in (".py", ".md") or path.name == "dev")
    faults = []
    for path in files():
        if path.suffix != ".py" or path.name in ("__init__.py", "conftest.py") or path.stem.endswith("_test"):
            continue
        if not re.search(rf"import (\w+, )*{path.stem}\b|from [\w.]*\b{path.stem} import|{re.escape(path.name)}", everything.replace(text(path), "")):
            faults.append(f"{name(path)}: nobody imports or runs it")
    report(faults, "A file that nobody uses is deleted.")


def declared(path):
    """(function, position) of what a header declares, or defines inline, outside of its structs."""
    source = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code(path), flags=re.M)
    while (flat := re.sub(r"\{[^{}]*\}", lambda braces: ";" + blank(braces)[1:], source)) != source:
        source = flat
    return [(match.group(1), match.start(1)) for match in re.finditer(r"^\w[\w \n*]*?\b(\w+)\(", source, re.M) if match.group(1) != "__attribute__"]


# What no program calls, with the reason.
FOR_TESTS_ALONE = {
    "log_set_clock": "the log's rate limits run on the test's clock",
    "try_alloc_fail_after": "makes allocations fail",
    "traffic_has_group": "holds the list of groups and the table of fields together",
    "loop_stop": "ends the loops of threads of tests; the program ends its own by what runs on them",
    "tls_was_resumed": "shows that a ticket was taken",
    "pool_cancel_dispose": "for filters that take more than memory for a stream; none does yet",
}


def test_every_public_function_is_used():
    users = {}
    called = set()  # by its own file
    for path in c_files():
        defined = {function for function, _, _ in functions(path)}
        words = re.findall(r"\w+", code(path))
        for word in set(words) - defined:
            users.setdefault(word, set()).add(path)
        if not path.is_relative_to(ROOT / "tests") and path.suffix == ".c":
            called |= {word for word in defined if words.count(word) > 1}
    faults = []
    for path in c_files(".h"):
        for function, position in declared(path) if folder_of(path) else ():
            inlined = len(re.findall(rf"\b{function}\b", code(path))) > 1
            others = users.get(function, set()) - {path}
            in_programs = inlined or function in called or any(not user.is_relative_to(ROOT / "tests") for user in others)
            if not inlined and not others:
                faults.append(f"{name(path)}:{line_of(code(path), position)}: {function} is used by nobody else")
            elif not in_programs and function not in FOR_TESTS_ALONE:
                faults.append(f"{name(path)}:{line_of(code(path), position)}: {function} is used by tests alone")
            elif in_programs and function in FOR_TESTS_ALONE:
                faults.append(f"{name(path)}:{line_of(code(path), position)}: {function} needs no exemption any more")
    report(faults, "What a header offers is used outside of its own file, or is static there; and by more than tests.")


def test_every_error_is_raised():
    listed = re.findall(r"^ *X\(([A-Z0-9_]+),", text(ROOT / "proxy" / "base" / "error.h"), re.M)
    raised = {error for path in c_files() if folder_of(path) and name(path) != "proxy/base/error.h"
              for error in re.findall(r"\bERROR_([A-Z0-9_]+)\b", code(path))}
    faults = [] if listed else ["the list was not found"]
    faults += [f"proxy/base/error.h: {error} is raised nowhere" for error in listed if error not in raised]
    report(faults, "An error comes into the list with what raises it; its row of the table alone is no use.")


def test_fuzz_targets_have_seeds():
    faults = []
    targets = {f"{path.parent.name}_{path.stem}" for path in c_files(".c") if path.stem.endswith("_fuzz")}
    corpus = ROOT / "tests" / "corpus"
    folders = {path.name for path in corpus.iterdir() if path.is_dir() and any(path.iterdir())} if corpus.exists() else set()
    faults += [f"tests/corpus/{target}/ has no seeds" for target in targets - folders]
    faults += [f"tests/corpus/{folder}/ belongs to no fuzz target" for folder in folders - targets]
    report(faults, "A fuzz target tests/unit/<library>/<unit>_fuzz.c has its seeds in tests/corpus/<library>_<unit>_fuzz/.")


def test_the_threat_model_names_tests_that_are_there():
    there = {match for path in files() if path.is_relative_to(ROOT / "tests") and path.suffix in {".c", ".py"}
             for match in re.findall(r"^(?:static void|def) (\w+)\(", text(path), re.M)}
    model = ROOT / "docs" / "threat-model.md"
    named = re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`", text(model))
    faults = [] if named else ["it names none"]
    faults += [f"docs/threat-model.md: {one} is no test" for one in named if one not in there]
    report(faults, "What docs/threat-model.md says is shown by a test is.")


def test_no_traces_of_the_workplace():
    marks = re.compile("|".join([r"\bissue " + r"#?\d", "/wo" + "rk/"] + [re.escape(host) for host in REGISTRIES]), re.I)
    faults = [f"{name(path)}:{line_of(text(path), match.start())}: {match.group()}"
              for path in text_files() for match in marks.finditer(text(path))]
    report(faults, "The project speaks of itself: no numbers of tickets, no paths of a machine, no hosts of registries.")


def test_vtables_are_small():
    faults = []
    for path in c_files(".h"):
        for match in re.finditer(r"^struct (\w+) \{(.*?)^\}", code(path), re.M | re.S):
            slots = sum(1 for member in match.group(2).split(";") if re.search(r"\(\*\w+\)\s*\(", member))
            if slots > VTABLE_SLOTS:
                faults.append(f"{name(path)}:{line_of(code(path), match.start())}: struct {match.group(1)} has {slots} slots")
    report(faults, f"A vtable has at most {VTABLE_SLOTS} slots.")
