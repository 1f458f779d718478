"""postmap, postalias, newaliases: what they print, and what is left when something goes wrong."""
import concurrent.futures, fcntl, json, os, pathlib, pwd, random, resource, shutil, signal, stat, subprocess

import pytest

import harness
import postmap_cases
from harness import BIN, SANITIZED, wait_for, write_settled

RECORDED = json.loads(postmap_cases.RECORDED.read_text())


def expected(title):
    """Per step what we should say: as recorded, but for what the case says of ours."""
    steps = postmap_cases.CASES[title][1]
    return [recorded if step[3] is None else [r if o is None else o for r, o in zip(recorded, step[3])]
            for step, recorded in zip(steps, RECORDED[title])]


@pytest.mark.parametrize("title", postmap_cases.CASES)
def test_as_postfix(title, tmp_path):
    case = postmap_cases.CASES[title]
    got = postmap_cases.play(case, tmp_path / "case", lambda prog: str(BIN / prog))
    for step, g, want in zip(case[1], got, expected(title)):
        assert g == want, step[:2]


def test_recording_is_postfix(tmp_path):
    """The recording is what Postfix says, where there is one to ask. Side by side: it sleeps a second when something is fatal."""
    if not (postmap_cases.ORACLE / "usr/sbin/postmap").exists():
        pytest.skip("no Postfix unpacked here")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        said = pool.map(lambda title: postmap_cases.oracle(postmap_cases.CASES[title], tmp_path / title), RECORDED)
    assert dict(zip(RECORDED, said)) == RECORDED


# ---- a folder to work in
class Place:
    def __init__(self, folder):
        self.dir = folder
        (folder / "etc").mkdir()
        (folder / "etc/main.cf").write_text(postmap_cases.MAIN.format(dir=folder))

    def command(self, prog, *args):
        return [str(BIN / prog), "-C" if prog in ("sendmail", "newaliases") else "-c", str(self.dir / "etc"), *map(str, args)]

    def run(self, prog, *args, input="", status=0, **kw):
        r = subprocess.run(self.command(prog, *args), cwd=self.dir, input=input, capture_output=True, text=True, timeout=120, **kw)
        assert r.returncode == status, r.stderr
        return r

    def write(self, name, text):
        (self.dir / name).write_text(text)
        return self.dir / name


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


# ---- what Postfix 3.7 does not have
def test_json(place):
    place.write("s", 'a 1\nb "x\\y"\t\x7f é\n')
    place.run("postmap", "hash:s")
    assert place.run("postmap", "-jq", "a", "hash:s").stdout == '{"a": "1"}\n'
    lines = place.run("postmap", "-js", "hash:s").stdout.splitlines()
    assert {k: v for line in lines for k, v in json.loads(line).items()} == {"a": "1", "b": '"x\\y"\t\x7f é'}
    assert place.run("postmap", "-jq", "-", "hash:s", input="a\nz\n").stdout == '{"a": "1"}\n'
    assert "specify -j only with" in place.run("postmap", "-j", "hash:s", status=1).stderr


def test_alias_names_are_quoted(place):
    """3.12 keeps names in external form, as postmap does."""
    place.write("al", '"a b": x\na b: y\n"c": z\n.d: w\n')
    r = place.run("postalias", "hash:al")
    assert 'duplicate entry: ""a b""' in r.stderr
    got = place.run("postalias", "-s", "hash:al").stdout
    assert '"a b":\tx\n' in got and "\nc:\tz\n" in "\n" + got and '".d":\tw\n' in got
    assert place.run("postalias", "-q", '"a b"', "hash:al").stdout == "x\n"
    place.run("postalias", "-q", "a b", "hash:al", status=1)


def test_long_lists(place):
    place.write("al", "all: first\n" + "".join(f"\t, member{i}@example.org\n" for i in range(20000)))
    place.run("postalias", "hash:al")
    assert place.run("postalias", "-q", "all", "hash:al").stdout.count(", ") == 20000


# ---- newaliases
def test_newaliases(place):
    place.write("al", "a: b\n")
    place.write("al2", "c: d\n")
    for how in (["newaliases"], ["sendmail", "-bi"], ["sendmail", "-I"]):
        place.run(*how)
        assert place.run("postalias", "-q", "a", "hash:al").stdout == "b\n"
        assert place.run("postalias", "-q", "c", "hash:al2").stdout == "d\n"
        os.unlink(place.dir / "al.db")
        os.unlink(place.dir / "al2.db")
    place.write("al3", "e: f\n")
    place.run("sendmail", "-bi", f"-oAhash:{place.dir}/al3")
    assert place.run("postalias", "-q", "e", "hash:al3").stdout == "f\n" and not (place.dir / "al.db").exists()
    assert place.run("newaliases", "extra", status=75).stderr == "newaliases: fatal: alias initialization mode requires no recipient\n"
    assert place.run("sendmail", "-bi", "-oA", "x", status=75).stderr.endswith("fatal: -oA requires pathname\n")
    assert place.run("sendmail", "-bi", "-oAnone", status=1).stderr == "postalias: fatal: open none: No such file or directory\n"
    (place.dir / "etc/main.cf").write_text("alias_database =\n")
    place.run("newaliases")


# ---- modes and owners
@pytest.mark.parametrize("source, table", [(0o644, 0o644), (0o640, 0o640), (0o600, 0o600), (0o444, 0o644), (0o777, 0o644), (0o711, 0o600), (0o622, 0o600)])
def test_mode_of_the_source(place, source, table):
    path = place.write("s", "a b\n")
    path.chmod(source)
    place.run("postmap", "hash:s", preexec_fn=lambda: os.umask(0o077))
    assert stat.S_IMODE((place.dir / "s.db").stat().st_mode) == table
    os.unlink(place.dir / "s.db")
    place.run("postmap", "-p", "hash:s")
    assert stat.S_IMODE((place.dir / "s.db").stat().st_mode) == 0o644


@pytest.fixture
def theirs(place, monkeypatch):
    """A folder that belongs to somebody else: as .who."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    # The leak checker cannot look into a process that changed its user.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    p = place.dir
    while p != p.parent and p.stat().st_uid == 0 and str(p).startswith("/tmp/"):
        os.chmod(p, 0o755)
        p = p.parent
    folder, who = place.dir / "theirs", pwd.getpwnam("nobody")
    folder.mkdir()
    os.chown(folder, who.pw_uid, who.pw_gid)
    return folder


def test_files_for_the_groups_of_root_end_in_tables_of_others(place, theirs):
    who = theirs.stat()
    secret = place.write("secret", "for a group that root is in\n")
    secret.chmod(0o640)
    os.chown(secret, 0, 61002)
    path = place.write("theirs/s", f"a {secret}\n")
    os.chown(path, who.st_uid, who.st_gid)
    r = place.run("postmap", "-F", f"hash:{path}", extra_groups=[0, 61002])
    assert "Permission denied: skipping this entry" in r.stderr
    place.run("postmap", "-Fq", "a", f"hash:{path}", status=1)


def test_roots_table_behind_that_of_somebody_else(place, theirs):
    """postmap THEIRS OURS: ours was read and written with their rights."""
    who = theirs.stat()
    path, ours = place.write("theirs/s", "a b\n"), place.write("ours", "c d\n")
    ours.chmod(0o600)
    os.chown(path, who.st_uid, who.st_gid)
    place.run("postmap", f"hash:{path}", f"hash:{ours}")
    assert (theirs / "s.db").stat().st_uid == who.st_uid
    assert (place.dir / "ours.db").stat().st_uid == 0
    place.run("postmap", "-d", "a", f"hash:{path}", f"hash:{ours}")
    place.run("postmap", "-d", "c", f"hash:{path}", f"hash:{ours}")


def test_owner_of_the_source(place, theirs):
    who = pwd.getpwnam("nobody")
    path, db = place.write("theirs/s", "a b\n"), theirs / "s.db"
    os.chown(path, who.pw_uid, who.pw_gid)
    place.run("postmap", f"hash:{path}")
    assert (db.stat().st_uid, db.stat().st_gid) == (who.pw_uid, who.pw_gid)
    os.unlink(db)
    r = place.run("postmap", "-o", f"hash:{path}")
    assert db.stat().st_uid == 0 and "directory that is not owned by root" in r.stderr
    # Their source in root's folder: not made, because they could not; but made anew when it is there and theirs.
    path, db = place.write("s", "a b\n"), place.dir / "s.db"
    os.chown(path, who.pw_uid, who.pw_gid)
    assert "open database" in place.run("postmap", f"hash:{path}", status=1).stderr and not db.exists()
    place.run("postmap", "-o", f"hash:{path}")
    assert "Permission denied" in place.run("postmap", f"hash:{path}", status=1).stderr and db.stat().st_uid == 0
    os.chown(db, who.pw_uid, who.pw_gid)
    path.write_text("a c\n")
    place.run("postmap", f"hash:{path}")
    assert db.stat().st_uid == who.pw_uid and place.run("postmap", "-q", "a", f"hash:{path}").stdout == "c\n"
    # Not with files: root would read them for somebody who may not.
    secret = place.write("secret", "root's\n")
    secret.chmod(0o600)
    path.write_text(f"a {secret}\n")
    assert "Permission denied" in place.run("postmap", "-F", f"hash:{path}", status=1).stderr
    assert place.run("postmap", "-q", "a", f"hash:{path}").stdout == "c\n"
    # Root's source, their folder.
    path, db = place.write("theirs/r", "a b\n"), theirs / "r.db"
    assert "directory that is not owned by root" in place.run("postmap", f"hash:{path}").stderr and db.stat().st_uid == 0


# ---- old or new, never half
N = 20000 if SANITIZED else 60000
TYPES = ["hash", "btree"] + [t for t in ("lmdb", "cdb") if t in subprocess.run([BIN / "postconf", "-m"], capture_output=True, text=True).stdout.split()]


def entries(value, n=N):
    return "".join(f"key{i} {value}\n" for i in range(n))


def state_of(place, kind, n=N):
    """The one value that all of the table has; its first, middle and last key."""
    keys = [f"key{i}" for i in (0, n // 2, n - 1)]
    got = place.run("postmap", "-q", "-", f"{kind}:s", input="".join(k + "\n" for k in keys)).stdout.splitlines()
    assert [line.split("\t")[0] for line in got] == keys
    assert len({line.split("\t")[1] for line in got}) == 1
    return got[0].split("\t")[1]


def build_and_die(place, kind, limit, chance):
    """A build that ends at once when its file gets longer than `limit`, or that is killed. How it ended."""
    def die_when_longer():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    if limit:
        return subprocess.run(place.command("postmap", f"{kind}:s"), cwd=place.dir, stderr=subprocess.DEVNULL, preexec_fn=die_when_longer).returncode
    p = subprocess.Popen(place.command("postmap", f"{kind}:s"), cwd=place.dir, stderr=subprocess.DEVNULL)
    reads = chance.randrange(1, 40)  # a moment that is counted in what it has done
    while p.poll() is None:
        try:
            done = int(next(line.split()[1] for line in open(f"/proc/{p.pid}/io") if line.startswith("syscr")))
        except (OSError, StopIteration):
            break
        if done >= reads:
            break
    p.kill()
    return p.wait()


@pytest.mark.parametrize("kind", TYPES)
def test_killed_at_any_moment(place, kind):
    """Twenty builds that die on their way: the old table is there, whole; and nothing is in the way of the next build."""
    few = N // 4
    place.write("s", entries("old", few))
    place.run("postmap", f"{kind}:s")
    place.write("s", entries("new", few))
    suffix = {"hash": "db", "btree": "db"}.get(kind, kind)
    size = (place.dir / f"s.{suffix}").stat().st_size
    chance = random.Random(int(os.environ.get("HIKYAKU_SEED", "7")))
    died = 0
    for i in range(20):
        died += build_and_die(place, kind, chance.randrange(1, size - 8192) if i < 14 else 0, chance) != 0
        value = state_of(place, kind, few)
        assert value in ("old", "new")
        if value == "new":  # it was faster than we
            place.write("s", entries("old", few))
            place.run("postmap", f"{kind}:s")
            place.write("s", entries("new", few))
    assert died >= 14
    place.run("postmap", f"{kind}:s")
    assert state_of(place, kind, few) == "new"
    assert [p.name for p in place.dir.glob(f"s.{suffix}*")] == [f"s.{suffix}"]


@pytest.mark.parametrize("kind", TYPES)
def test_full_disk(place, kind):
    """No room for the new table: exit status 1, words, and the old one."""
    place.write("s", entries("old"))
    place.run("postmap", f"{kind}:s")
    place.write("s", entries("new"))
    limit = 200_000

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    r = place.run("postmap", f"{kind}:s", status=1, preexec_fn=small)
    assert r.stderr.startswith("postmap: fatal: ") and state_of(place, kind) == "old"
    place.run("postmap", f"{kind}:s")
    assert state_of(place, kind) == "new"


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("is_new", [False, True])
def test_writers_at_once(place, kind, is_new):
    """Twenty at a time, and the table may not be there yet: nobody's entry is lost."""
    if kind == "cdb":
        pytest.skip("a cdb is only built whole")
    if not is_new:
        place.write("s", "first 1\n")
        place.run("postmap", f"{kind}:s")
    runs = [subprocess.Popen(place.command("postmap", "-i", f"{kind}:s"), cwd=place.dir, stdin=subprocess.PIPE) for _ in range(20)]
    for i, p in enumerate(runs):
        p.stdin.write(f"k{i} v{i}\n".encode())
        p.stdin.close()
    assert [p.wait(120) for p in runs] == [0] * 20
    got = place.run("postmap", "-s", f"{kind}:s").stdout.splitlines()
    assert sorted(got) == sorted([f"k{i}\tv{i}" for i in range(20)] + ([] if is_new else ["first\t1"]))


@pytest.mark.parametrize("how", ["in place", "renamed"])
def test_source_that_changed_while_its_build_waited(place, how):
    """Of two builds the one that comes last has read what was there last."""
    place.write("s", "k old\n")
    place.run("postmap", "hash:s")
    with open(place.dir / "s.db") as table:
        fcntl.flock(table, fcntl.LOCK_EX)
        p = subprocess.Popen(place.command("postmap", "hash:s"), cwd=place.dir)
        inode = os.fstat(table.fileno()).st_ino
        wait_for("the build to wait", lambda: any("->" in line and f":{inode} " in line for line in open("/proc/locks")))
        if how == "renamed":
            (place.dir / "n").write_text("k new\n")
            (place.dir / "n").rename(place.dir / "s")
        else:
            place.write("s", "k new\n")
    assert p.wait(120) == 0
    assert place.run("postmap", "-q", "k", "hash:s").stdout == "new\n"


def test_builders_at_once(place):
    """Builds of one table wait for each other; what is left is one of them, whole."""
    place.write("s", entries("v"))
    runs = [subprocess.Popen(place.command("postmap", "hash:s"), cwd=place.dir, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(p.wait(120), p.stderr.read()) for p in runs] == [(0, b"")] * 4
    assert len(place.run("postmap", "-s", "hash:s").stdout.splitlines()) == N


@pytest.mark.parametrize("kind", ["hash", "btree"] + [t for t in TYPES if t == "lmdb"])
def test_postfix_reads_ours_and_we_read_theirs(place, kind):
    theirs = postmap_cases.ORACLE / "usr/sbin/postmap"
    if not theirs.exists():
        pytest.skip("no Postfix unpacked here")
    more = f"shlib_directory = {postmap_cases.ORACLE}/usr/lib/postfix\nmeta_directory = {postmap_cases.ORACLE}/meta\nqueue_directory = {place.dir}\n"
    write_settled(place.dir / "etc/main.cf", (place.dir / "etc/main.cf").read_text() + more)
    text = "".join(f"key{i} value {i}\n" for i in range(3000)) + "big " + "x" * 3000 + "\n"
    for flags in ([], ["-n"], ["-N"]):
        for maker, reader in ((BIN / "postmap", theirs), (theirs, BIN / "postmap")):
            place.write("s", text)
            subprocess.run([maker, "-c", place.dir / "etc", *flags, f"{kind}:s"], cwd=place.dir, check=True)
            got = subprocess.run([reader, "-c", place.dir / "etc", "-s", f"{kind}:s"], cwd=place.dir, check=True, capture_output=True, text=True).stdout
            assert sorted(got.splitlines()) == sorted(line.replace(" ", "\t", 1) for line in text.splitlines())
            r = subprocess.run([reader, "-c", place.dir / "etc", "-q", "KEY77", f"{kind}:s"], cwd=place.dir, capture_output=True, text=True)
            assert r.stdout == "value 77\n"
