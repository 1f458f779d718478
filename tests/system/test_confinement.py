"""Who runs as whom, and what they may still do."""
import pathlib, pwd, subprocess

import pytest

from harness import IS_ROOT, open_files

pytestmark = pytest.mark.release_only


def status(pid):
    return dict(l.split(":\t", 1) for l in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in l)


def test_only_master_is_root(mta):
    if not IS_ROOT:
        pytest.skip("needs root")
    owner = str(pwd.getpwnam("postfix").pw_uid)
    for role in ("smtpd", "queue", "smtp", "pickup", "bounce", "virtual"):
        for pid in mta.pids(role):
            uids = set(status(pid)["Uid"].split())
            assert uids == {owner}, f"{role} runs as {uids}"
            assert set(status(pid)["Gid"].split()) != {"0"}
            assert "0" not in status(pid)["Groups"].split()
    assert set(status(mta.master_pid())["Uid"].split()) == {"0"}


def test_workers_are_filtered_and_cannot_gain_privileges(mta):
    for role in ("smtpd", "queue", "smtp", "pickup", "bounce", "virtual"):
        pids = mta.pids(role)
        assert pids, role
        for pid in pids:
            s = status(pid)
            assert s["NoNewPrivs"] == "1", role
            assert s["Seccomp"] == "2", role
            if role != "virtual":
                assert int(s["CapEff"], 16) == 0 and int(s["CapPrm"], 16) == 0, role
    for pid in mta.pids("virtual"):
        caps = int(status(pid)["CapEff"], 16)
        assert caps & ~((1 << 6) | (1 << 7)) == 0, hex(caps)


def test_network_workers_hold_no_descriptor_of_the_spool(mta):
    """smtpd and smtp see only the messages they were given."""
    mta.send("x@relay.test")
    mta.sink.wait(1)
    for role in ("smtpd", "smtp"):
        for pid in mta.pids(role):
            links = open_files(pid).values()
            assert not [l for l in links if "/spool/" in l and "stage" not in l], (role, links)


def test_folders_have_postfixs_owners_and_modes(mta):
    if not IS_ROOT:
        pytest.skip("needs root")
    import grp
    drop = grp.getgrnam("postdrop").gr_gid
    owner = pwd.getpwnam("postfix").pw_uid
    for name, mode, uid, gid in (("private", 0o700, owner, None), ("public", 0o710, owner, drop), ("maildrop", 0o730, owner, drop), ("pid", 0o755, 0, None)):
        s = (mta.dir / "spool" / name).stat()
        assert s.st_mode & 0o777 == mode and s.st_uid == uid and (gid is None or s.st_gid == gid), (name, oct(s.st_mode), s.st_uid, s.st_gid)


def test_an_ordinary_user_cannot_read_mail_or_reach_the_private_sockets(mta):
    if not IS_ROOT:
        pytest.skip("needs root")
    u = pwd.getpwnam("hkuser")
    for name in ("private/queue", "journal"):
        r = subprocess.run(["ls", str(mta.dir / "spool" / name)], user=u.pw_uid, group=u.pw_gid, extra_groups=[], capture_output=True)
        assert r.returncode != 0, name
