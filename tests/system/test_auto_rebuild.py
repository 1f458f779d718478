"""map_auto_rebuild: tables are made again when their text was changed."""
import os, subprocess, time

import pytest

from harness import BIN, Instance, is_running, wait_for

DOMAINS = "relay_domains = {type}:{dir}/etc/domains\nsmtpd_relay_restrictions = reject_unauth_destination\n"
ON = f"map_auto_rebuild = yes\ncommand_directory = {BIN}\n"
SUFFIX = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}


def answer(mta, domain):
    with mta.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        return c.cmd(f"RCPT TO:<x@{domain}>")


def place(tmp_path, main, text="one.test x\n", kind="hash"):
    mta = Instance(tmp_path, DOMAINS.format(dir=tmp_path, type=kind) + main, drop_main=())
    (mta.dir / "etc/domains").write_text(text)
    return mta


def accepts(mta, domain):
    return answer(mta, domain).startswith("250")


def replace(path, text):
    """As an editor does it."""
    new = path.with_name("new")
    new.write_text(text)
    os.replace(new, path)


@pytest.mark.parametrize("kind", SUFFIX)
def test_changed_source_is_served(tmp_path, kind):
    mta = place(tmp_path, ON, kind=kind)
    mta.cmd("postmap", f"{kind}:{mta.dir}/etc/domains")
    with mta:
        assert accepts(mta, "one.test") and not accepts(mta, "two.test")
        replace(mta.dir / "etc/domains", "two.test x\n")
        wait_for("the new text", lambda: accepts(mta, "two.test"))
        wait_for("every worker has it", lambda: not accepts(mta, "one.test"))
        mta.wait_log("etc/domains: made again from")


def test_missing_index_is_made_before_the_start(tmp_path):
    with place(tmp_path, ON) as mta:
        assert accepts(mta, "one.test")
        assert "unavailable" not in mta.log() and "open database" not in mta.log()


def test_index_that_vanishes_is_made(tmp_path):
    with place(tmp_path, ON) as mta:
        index = next((mta.dir / "etc").glob("domains.*"))
        index.unlink()
        wait_for("another index", index.exists)
        wait_for("it is asked", lambda: accepts(mta, "one.test"))


def test_broken_source_keeps_the_old_index(tmp_path):
    mta = place(tmp_path, ON)
    mta.cmd("postmap", f"hash:{mta.dir}/etc/domains")
    with mta:
        replace(mta.dir / "etc/domains", "three.test x\nwithout-a-value\n")
        mta.wait_log(r"etc/domains, line 2: not an entry; .* stays as it is")
        assert accepts(mta, "one.test") and not accepts(mta, "three.test")
        replace(mta.dir / "etc/domains", "three.test x\n")
        wait_for("the text that is whole", lambda: accepts(mta, "three.test"))
        assert mta.log().count("not an entry") == 1  # tried once


def test_time_in_the_future_is_tried_once(tmp_path):
    mta = place(tmp_path, ON)
    ahead = time.time() + 100000
    os.utime(mta.dir / "etc/domains", (ahead, ahead))
    with mta:
        mta.wait_log("hash:.*etc/domains: made again")
        before = mta.log().count("made again")
        replace(mta.dir / "etc/domains", "two.test x\n")
        os.utime(mta.dir / "etc/domains", (ahead, ahead))
        wait_for("the new text", lambda: accepts(mta, "two.test"))
        made = mta.log().count("made again") - before
        assert made <= 2  # by the start, by the child when it began, and once for the new one
        index = next((mta.dir / "etc").glob("domains.*"))
        inode = index.stat().st_ino
        end = time.monotonic() + 3
        wait_for("several looks", lambda: time.monotonic() > end)
        assert index.stat().st_ino == inode


def test_off(tmp_path):
    """Only the warning, as ever."""
    mta = place(tmp_path, f"command_directory = {BIN}\n")
    mta.cmd("postmap", f"hash:{mta.dir}/etc/domains")
    index = next((mta.dir / "etc").glob("domains.*"))
    os.utime(index, (1000, 1000))
    old = time.time() - 1000
    os.utime(mta.dir / "etc/domains", (old, old))
    with mta:
        mta.wait_log("is older than source file")
        assert index.stat().st_mtime == 1000
        r = mta.cmd("postfix", "check", check=False)
        assert "is older than source file" in r.stderr and index.stat().st_mtime == 1000


def test_check_makes_it(tmp_path):
    mta = place(tmp_path, ON)
    r = mta.cmd("postfix", "check", check=False)
    assert list((mta.dir / "etc").glob("domains.*")), r.stderr
    assert "made again" in r.stderr


def test_aliases_are_made_by_postalias(tmp_path):
    mta = Instance(tmp_path, ON + f"alias_maps = hash:{tmp_path}/etc/aliases\nalias_database = $alias_maps\n")
    (mta.dir / "etc/aliases").write_text("joe: jane, jim\n")
    with mta:
        r = mta.cmd("postalias", "-q", "joe", f"hash:{mta.dir}/etc/aliases")
        assert r.stdout == "jane, jim\n"
        replace(mta.dir / "etc/aliases", "joe: bob\n")
        wait_for("the new alias", lambda: mta.cmd("postalias", "-q", "joe", f"hash:{mta.dir}/etc/aliases", check=False).stdout == "bob\n")


def test_command_that_is_missing_is_reported_once(tmp_path):
    (tmp_path / "nothing").mkdir()
    with place(tmp_path, f"map_auto_rebuild = yes\ncommand_directory = {tmp_path}/nothing\n") as mta:
        mta.wait_log("cannot be made again: cannot execute .*/postmap")
        assert not accepts(mta, "one.test")


def test_it_ends_with_the_server(tmp_path):
    with place(tmp_path, ON) as mta:
        pid = mta.master_pid()

        def children():
            return subprocess.run(["pgrep", "-P", str(pid), "-x", "master"], capture_output=True, text=True).stdout.split()
        first, = wait_for("only it is still called master", lambda: (lambda c: c if len(c) == 1 else None)(children()))
        mta.reload()
        wait_for("another one", lambda: not is_running(first))
    assert not is_running(pid)
