"""Tables made by Postfix are read, and ours are read by it.

interchange/*.gz: `source`, and what Postfix 3.7's postmap made of it, for where there is no Postfix.
"""
import gzip, os, pathlib, subprocess

import pytest

import postmap_cases
from harness import BIN, write_settled

HERE = pathlib.Path(__file__).resolve().parent / "interchange"
SUFFIX = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}
KEYS = {"KEY": "value", "b": "two words", "äpfel": "apfel", "ÄPFEL": "apfel", "k40": "v40", "big": "x" * 5000, "nosuch": None, "k": None}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "table").write_bytes(gzip.decompress((HERE / "source.gz").read_bytes()))
    return tmp_path


def ours(place, *args, **kw):
    return subprocess.run([BIN / "postmap", "-c", place / "etc", *args], cwd=place, capture_output=True, text=True, timeout=120, **kw)


def theirs(place, *args):
    postmap = postmap_cases.ORACLE / "usr/sbin/postmap"
    if not postmap.exists():
        pytest.skip("no Postfix unpacked here")
    (place / "theirs").mkdir(exist_ok=True)
    write_settled(place / "theirs/main.cf", f"""compatibility_level = 3.6
smtputf8_enable = yes
meta_directory = {postmap_cases.ORACLE}/meta
shlib_directory = {postmap_cases.ORACLE}/usr/lib/postfix
""")
    r = subprocess.run([postmap, "-c", place / "theirs", *args], cwd=place, capture_output=True, text=True, timeout=120)
    if "cannot open shared object" in r.stderr:
        pytest.skip("the library of this type is not here")
    return r


def is_here(kind):
    """hash: and btree: are Berkeley DB files in this build?"""
    if kind not in ("hash", "btree"):
        return True
    needed = subprocess.run(["readelf", "-d", BIN / "postmap"], capture_output=True, text=True).stdout
    return "libdb-5.3" in needed


def check_keys(ask, place, kind):
    for key, value in KEYS.items():
        r = ask(place, "-q", key, f"{kind}:{place}/table")
        assert (r.returncode, r.stdout, r.stderr) == ((1, "", "") if value is None else (0, value + "\n", "")), (kind, key)


@pytest.mark.parametrize("kind", SUFFIX)
def test_recorded(place, kind):
    if not is_here(kind):
        pytest.skip("built without Berkeley DB")
    (place / f"table{SUFFIX[kind]}").write_bytes(gzip.decompress((HERE / f"{kind}.gz").read_bytes()))
    check_keys(ours, place, kind)
    dump = ours(place, "-s", f"{kind}:{place}/table")
    assert dump.returncode == 0 and len(dump.stdout.splitlines()) == 44
    assert "äpfel\tapfel" in dump.stdout.splitlines()


@pytest.mark.parametrize("kind", SUFFIX)
def test_theirs_is_read(place, kind):
    r = theirs(place, f"{kind}:{place}/table")
    assert r.returncode == 0, r.stderr
    if not is_here(kind):
        pytest.skip("built without Berkeley DB")
    check_keys(ours, place, kind)


@pytest.mark.parametrize("kind", SUFFIX)
def test_ours_is_read(place, kind):
    r = ours(place, f"{kind}:{place}/table")
    assert r.returncode == 0, r.stderr
    check_keys(ours, place, kind)
    if not is_here(kind):
        pytest.skip("built without Berkeley DB")
    check_keys(theirs, place, kind)


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb"])
def test_taking_turns(place, kind):
    """Each changes what the other one made."""
    spec = f"{kind}:{place}/table"
    if not is_here(kind):
        pytest.skip("built without Berkeley DB")
    assert theirs(place, spec).returncode == 0
    assert ours(place, "-i", spec, input="one 1\n").returncode == 0
    assert theirs(place, "-q", "one", spec).stdout == "1\n"
    assert ours(place, "-d", "k7", spec).returncode == 0
    assert theirs(place, "-q", "k7", spec).returncode == 1
    assert theirs(place, "-d", "one", spec).returncode == 0
    assert ours(place, "-q", "one", spec).returncode == 1
    assert ours(place, "-q", "k8", spec).stdout == "v8\n"


def test_trailing_nul(place):
    """-N and -n write both forms, and both are read."""
    for kind in SUFFIX:
        for flag in "-N", "-n":
            assert ours(place, flag, f"{kind}:{place}/table").returncode == 0
            check_keys(ours, place, kind)
            data = (place / ("table" + (SUFFIX[kind] if is_here(kind) else ".lmdb"))).read_bytes()
            if kind in ("lmdb", "cdb"):
                assert (b"v40\0k" in data or b"k40\0v40\0" in data) == (flag == "-N"), (kind, flag)
