"""Every table type answers at least 20 pairs of table and key as Postfix does, or as the table that it wraps (debug:, which Postfix 3.7 has not)."""
import collections, json, os, pathlib, re, subprocess, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import test_maps_corpus as corpus

SYSTEM = corpus.ROOT / "tests/system"
TYPES = "hash btree lmdb cdb texthash inline static environ fail unix regexp pcre cidr unionmap pipemap randmap proxy socketmap tcp memcache ldap".split()
LEAST = 20
# Types that debug: is put around, each with what the corpus asks them.
WRAPPED = ["inline", "constant", "unix"]


def pairs():
    """The (table, key)s that are asked, by type."""
    out = collections.defaultdict(set)
    for name, kind in corpus.CASES:
        for _, text, args in corpus.commands(name, kind):
            words = [a.decode("latin-1") for a in args]
            if "-q" not in words or words[-1] == "-q":
                continue
            key = words[words.index("-q") + 1]
            keys = text.decode("latin-1").splitlines() if key == "-" else [key]
            for k in keys:
                out[words[-1].split(":")[0]].add((name, words[-1], k))
    for kind, keys in json.loads((corpus.ROOT / "tests/compat/socket_maps.json").read_text()).items():
        out[kind].update(keys)
    for table, keys in json.loads((SYSTEM / "ldap_cases.json").read_text()).items():
        out["ldap"].update((table, k) for k in keys)
    for table, keys in json.loads((SYSTEM / "proxy_cases.json").read_text()).items():
        out["proxy"].update((table, k) for k in keys)
    return out


@pytest.mark.parametrize("kind", TYPES)
def test_enough_pairs(kind):
    n = len(pairs()[kind])
    print(f"{kind}: {n}")
    assert n >= LEAST


def test_debug_answers_as_what_it_wraps(tmp_path):
    """And says so: one line for each answer."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/main.cf").write_text(corpus.MAIN_CF)
    asked = set()
    for name in WRAPPED:
        for title, text, args in corpus.commands(name, ""):
            if not title.startswith("? ") or len(args) != 4 or args[2] in (b"", b"-") or not re.match(rb"(inline|static|environ|fail|unix):", args[3]):
                continue
            plain = corpus.one(tmp_path, corpus.OURS, "x", text, args)
            if any("fatal: " in l and "query error" not in l for l in plain):
                continue  # it cannot be opened
            got = corpus.one(tmp_path, corpus.OURS, "x", text, [*args[:3], b"debug:" + args[3]])
            lines = [l for l in got if re.match(r'! postmap: \S.* lookup: ".*" = ', l)]
            rest = [l.replace("debug:", "") for l in got if l not in lines]
            assert rest == plain, title
            try:
                args[2].decode()
            except UnicodeDecodeError:
                assert not lines, got  # such a key is never looked up
                continue
            assert len(lines) == 1, got
            value = plain[1] if plain[-2] == "= 0" else None
            ending = "error" if any("query error" in l for l in plain) else "not_found" if value is None else value
            if all(" " <= c < "\x7f" for c in lines[0] + ending):
                assert lines[0].endswith(f' = "{ending}"'), (lines, plain)
                assert lines[0].startswith("! postmap: " + args[3].decode("latin-1")), lines
            asked.add((args[2], args[3]))
    print(f"debug: {len(asked)}")
    assert len(asked) >= LEAST
