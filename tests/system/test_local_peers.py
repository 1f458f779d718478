"""Programs of this machine that mean harm: at every socket that there is, and in the maildrop."""
import os, pwd, random, shutil, socket, stat, subprocess

import pytest

from harness import IS_ROOT, PATIENCE, as_owner, open_files, process_memory, wait_for

MASTER = "proxywrite unix - - n - 1 proxymap\nlocal-smtp unix n - n - - smtpd\n"
BLOBS = [b"", b"\0", b"\0\0\0\4\0\0\0\0", b"\0\0\1\0\1half", b"\x7f\xff\xff\xff" + b"x" * 1000, b"\0\1\0\0" + b"\xff" * 65536, b"W" * 5000,
         b"flush\0address\0" + b"a" * 3000, b"100000000:x,", b"x" * 10_000_000, random.Random(4).randbytes(200_000), b"\r\n.\r\n" * 10_000]
BIG = 64 << 20


def endpoints(m):
    return sorted(p for d in ("public", "private") for p in (m.dir / "spool" / d).iterdir() if stat.S_ISSOCK(p.stat().st_mode))


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(str(path))
    return s


def say(s, blob, fds=()):
    """As much as is taken; what comes back is left lying half read."""
    s.settimeout(0.05)
    try:
        if fds:
            socket.send_fds(s, [blob or b"\0"], fds)
        else:
            s.sendall(blob)
        s.recv(10, socket.MSG_DONTWAIT)
    except OSError:
        pass


def attack(path):
    held = [connect(path) for _ in range(20)]
    for i, blob in enumerate(BLOBS):
        with connect(path) as s:
            say(s, blob)
        with connect(path) as s:
            say(s, blob[:100], [s.fileno()] * 30)  # who has our end never sees us go
        say(held[i], blob)
    for s in held:
        s.close()


def descriptors(m):
    return {p: len(open_files(p)) for p in m.pids()}


def settled(m):
    """What everybody has when nothing is under way: the channels of who was started just now are there."""
    seen = []
    while len(seen) < 5 or any(n != seen[-1] for n in seen[-5:]):
        m.cmd("postqueue", "-p")
        seen.append(descriptors(m))
    return seen[-1]


def resident(m):
    return sum(process_memory(p, "VmRSS") for p in m.pids())


def test_garbage_at_a_local_socket_ends_a_process_or_stays_in_it(instance):
    m = instance(master=MASTER).start()
    found = endpoints(m)
    assert {p.name for p in found} >= {"queue", "showq", "qmgr", "flush", "pickup", "proxymap", "proxywrite", "local-smtp"}
    assert m.send("u@mbox.test").startswith("250")
    for path in found:
        connect(path).close()
    with connect(m.dir / "spool/private/proxymap") as s:  # lookup is started by a knock
        s.settimeout(PATIENCE)
        s.sendall(b"\x7f\xff\xff\xff\0")
        assert s.recv(1) == b""  # it is at work
    before, memory = settled(m), resident(m)
    for path in found:
        assert as_owner(attack, path) == 0, path
    wait_for("no more descriptors than before", lambda: all(n <= before[p] for p, n in descriptors(m).items()))
    assert set(m.pids()) == set(before)
    assert resident(m) - memory < BIG
    assert "signal" not in m.log() and "panic" not in m.log()
    assert m.send("u@mbox.test").startswith("250")
    m.cmd("sendmail", "u@mbox.test", input="x\n")
    wait_for("three messages", lambda: len(m.maildir()) == 3)
    m.cmd("postqueue", "-p")


def test_an_ordinary_user_reaches_a_local_socket(instance):
    if not IS_ROOT:
        pytest.skip("needs root")
    m = instance(master=MASTER).start()
    user = pwd.getpwnam("hkuser")
    for path in endpoints(m):
        script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        r = subprocess.run(["/usr/bin/python3", "-c", script], user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, text=True)
        assert "PermissionError" in r.stderr, (path, r.stderr)


def test_what_is_no_file_in_the_maildrop_stops_pickup(instance, tmp_path):
    """Pipes, links, folders, holes of a terabyte, a million records: pickup goes by, and takes what is good."""
    m = instance().start()
    drop = m.dir / "spool/maildrop"
    os.mkfifo(drop / "PIPE", 0o744)
    (drop / "FOLDER").mkdir(0o744)
    secret = tmp_path / "secret"
    secret.write_bytes(b"V\0\0\0\1" b"1S\0\0\0\1aR\0\0\0\x0bu@mbox.testX\0\0\0\0")
    secret.chmod(0o744)
    os.symlink(secret, drop / "LINK")
    os.link(secret, drop / "TWICE")
    (drop / "HOLE").touch()
    os.truncate(drop / "HOLE", 1 << 40)
    (drop / "MANY").write_bytes(b"V\0\0\0\1" b"1S\0\0\0\1a" + b"R\0\0\0\1b" * 100_001 + b"X\0\0\0\0")
    (drop / "LENGTH").write_bytes(b"V\0\0\0\1" b"1S\xff\xff\xff\xffa")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(drop / "SOCKET"))
    for p in drop.iterdir():
        if p.name == "LINK":
            continue
        p.chmod(0o744)
        if IS_ROOT:
            shutil.chown(p, "postfix")
    before = m.pids("pickup")
    m.cmd("sendmail", "u@mbox.test", input="good\n")
    wait_for("the good message", lambda: len(m.maildir()) == 1)
    for name in ("HOLE", "MANY", "LENGTH"):
        m.wait_log(rf"maildrop/{name}: .*saved as corrupt/{name}")
    for name in ("PIPE", "FOLDER", "TWICE"):
        m.wait_log(rf"maildrop/{name}: uid \d+: not a regular file with one link")
    m.wait_log("open maildrop/LINK: ")
    assert m.pids("pickup") == before and len(m.maildir()) == 1
