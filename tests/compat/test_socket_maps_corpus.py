#!/usr/bin/python3
"""postmap -q for socketmap:, tcp: and memcache: tables against Postfix's own, asking the servers of table_servers.py.

What Postfix did stands in socket_maps.json, by type and question: exit status, output, the warnings and how it ended, each line once.

  python3 tests/compat/test_socket_maps_corpus.py --record   records anew from Postfix
"""
import concurrent.futures, hashlib, json, pathlib, re, subprocess, sys, tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import table_servers as servers
from test_maps_corpus import MAIN_CF, OURS, postfix

RECORD = pathlib.Path(__file__).parent / "socket_maps.json"
WORKERS = 8

# Other settings of a memcache: table, and a key.
SETTINGS = [
    ("key_format = p:%s:%u:%d:%2", "a@b.c"), ("key_format = %d", "nodom"), ("key_format = x %s", "k"), ("key_format = %x", "k"), ("key_format =", "k"),
    ("domain = b.c", "a@x.y"), ("domain = b.c", "a@b.c"), ("domain = b", "a@b"), ("backup = inline:{none=b1,error=b2,ok=b3}", "none"),
    ("backup = inline:{none=b1,error=b2,ok=b3}", "error"), ("backup = inline:{none=b1,error=b2,ok=b3}", "ok"), ("backup = inline:{x=y}", "error"),
    ("backup = inline:{x=y}", "none"), ("backup = hash:/nonexistent", "none"), ("backup = fail:x", "none"), ("backup = nonsense:x", "ok"), ("backup = nonsense", "ok"),
    ("flags = 7\nttl = 99\nbackup = inline:{none=b1}", "none"), ("max_try = 0", "ok"), ("max_try = 3", "error"), ("line_size_limit = 5", "ok"),
    ("data_size_limit = 4", "ok"), ("data_size_limit = 5", "ok"), ("timeout = 0", "ok"), ("ttl = x", "ok"), ("timeout = 1h", "ok"),
]
# Keys that memcache: sends as they are, or not at all.
KEYS = ["two words", "tab\tx", "é", "\x01x", "x" * 300, "UPPER@Dom", "a%b"]
NAMES = [
    "socketmap:", "socketmap:x", "socketmap:inet:127.0.0.1", "socketmap:inet:127.0.0.1:n", "socketmap:inet:127.0.0.1:1", "socketmap:unix:/nonexistent",
    "socketmap:unix:/nonexistent:n", "socketmap:tcp:127.0.0.1:25:n", "socketmap:127.0.0.1:25:n", "socketmap:inet:127.0.0.1:1:n", "socketmap:inet:127.0.0.1:nosuch:n", "tcp:",
    "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp:127.0.0.1:1", "tcp:inet:127.0.0.1:1", "tcp:[127.0.0.1]:1", "memcache:", "memcache:/nonexistent",
]
# (type, question, why)
DIFFERENCES = [
    ("memcache", "^(lf|short)$", "refused at once: Postfix waits for as many bytes as were announced"),
    ("memcache", "^(other|no-end|junk)$", "an answer to another key, without END, or with a size that is none, is refused"),
    ("names", "^tcp:inet:", "a colon in the host's name"),
]


def normal(text, port, folder):
    """Each line once; without errno's words, which differ by accident."""
    text = text.decode("latin-1").replace(f":{port}", ":PORT").replace(str(folder), "DIR")
    lines = []
    for l in text.splitlines():
        l = re.sub(r"^\S*?(postmap): ", r"\1: ", l)
        l = re.sub(r"(query error|I/O error|unexpected EOF)\b.*", r"\1", l).rstrip()
        if l not in lines:
            lines.append(l)
    return lines


def shown(text):
    return text.decode("latin-1") if len(text) < 500 else f"{len(text)} bytes, {hashlib.sha256(text).hexdigest()[:16]}"


def ask(binary, folder, key, table, port):
    key = key if isinstance(key, bytes) else key.encode()
    r = subprocess.run([str(binary), "-c", str(folder), "-q", key, table], capture_output=True, timeout=90)
    return [r.returncode, shown(r.stdout), normal(r.stderr, port, folder)]


def asked(type_name, binary, more_main_cf, patience, only=lambda question: True):
    """{question: answer}. `patience`: a line of memcache: tables, whose own time for an answer is 2 s."""
    answer = {"socketmap": servers.socketmap, "tcp": servers.tcp, "memcache": servers.memcache, "settings": servers.memcache, "names": servers.tcp}[type_name]
    with tempfile.TemporaryDirectory(prefix="hk-maps-") as top, servers.Server(answer) as s, concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        folder = pathlib.Path(top)
        (folder / "main.cf").write_text(MAIN_CF + more_main_cf)
        jobs = {}
        if type_name in ("socketmap", "tcp"):
            table = {"socketmap": f"socketmap:inet:127.0.0.1:{s.port}:n", "tcp": f"tcp:127.0.0.1:{s.port}"}[type_name]
            keys = servers.SOCKETMAP if type_name == "socketmap" else servers.TCP
            jobs = {k.decode("latin-1"): (k, table) for k in keys}
        elif type_name == "names":
            jobs = {t: ("k", t) for t in NAMES}
        else:
            cases = SETTINGS if type_name == "settings" else [("", k) for k in [*servers.MEMCACHE, *KEYS]]
            for i, (text, key) in enumerate(cases):
                cf = folder / f"{i}.cf"
                cf.write_text(f"memcache = inet:127.0.0.1:{s.port}\n{'' if 'timeout' in text else patience}{text}\n")
                key = key if isinstance(key, bytes) else key.encode()
                jobs[(text + " | " if text else "") + key.decode("latin-1")] = (key, f"memcache:{cf}")
        jobs = {q: pool.submit(ask, binary, folder, *j, s.port) for q, j in jobs.items() if only(q)}
        out = {q: j.result() for q, j in jobs.items()}
        if type_name in ("memcache", "settings"):
            out["what the server was asked"] = sorted({r.decode("latin-1") for r in s.seen if r})
        return out


def is_known(type_name, question):
    return any(t == type_name and re.search(q, question) for t, q, _ in DIFFERENCES)


@pytest.mark.parametrize("type_name", ["socketmap", "tcp", "memcache", "settings", "names"])
def test_servers_are_asked_as_postfix_asks(type_name):
    theirs = json.loads(RECORD.read_text())[type_name]
    ours = asked(type_name, OURS / "postmap", "", "timeout = 60\n")
    assert theirs.keys() == ours.keys(), "questions have changed: --record"
    wrong = [f"{q!r}\n  Postfix {theirs[q]}\n  ours    {ours[q]}" for q in theirs if ours[q] != theirs[q] and not is_known(type_name, q)]
    assert not wrong, "\n".join(wrong)
    for q in theirs:  # a difference is never an answer where Postfix has none
        assert not (is_known(type_name, q) and ours[q][0] == 0), q
    print(f"{len(theirs)} answers are Postfix's")


def main():
    if sys.argv[1:] != ["--record"]:
        sys.exit(__doc__)
    bins, more_main_cf = postfix() or sys.exit("no Postfix: POSTFIX_ROOT")
    record = {t: asked(t, bins / "postmap", more_main_cf, "") for t in ("socketmap", "tcp", "memcache", "settings", "names")}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    print({t: len(r) for t, r in record.items()})


if __name__ == "__main__":
    main()
