"""What a program with more rights can be led to do by one with fewer: root by mail_owner, set-gid postdrop by users."""
import os, pwd, shutil, socket, subprocess, sys, time

import pytest

import harness


@pytest.fixture
def root(inside):
    if not harness.IS_ROOT:
        pytest.skip("needs root")


def owner_of(path):
    return pwd.getpwuid(os.lstat(path).st_uid).pw_name


def test_root_changes_modes_where_mail_owner_plants_links(root, mta):
    """Sockets are made with mail_owner's rights: nothing in private/ and public/ is root's, so no path there is touched by root."""
    found = [p for d in ("private", "public") for p in (mta.dir / "spool" / d).iterdir()]
    assert {p.name for p in found} >= {"queue", "showq", "qmgr", "pickup"}
    assert {owner_of(p) for p in found} == {"postfix"}


def test_lock_file_with_two_names_empties_the_other_file(root, instance):
    m = instance()
    victim = m.dir / "victim"
    victim.write_text("precious\n")
    os.link(victim, m.dir / "data/master.lock")
    assert m.cmd("postfix", "start", check=False).returncode != 0
    assert victim.read_text() == "precious\n"


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_maillog_planted_by_mail_owner_makes_root_write_elsewhere(root, instance, link):
    m = instance()
    victim = m.dir / "victim"
    victim.write_text("precious\n")
    shutil.chown(m.dir / "log", "postfix")
    link(victim, m.dir / "log/maillog")
    r = m.cmd("postfix", "start", check=False)
    assert r.returncode != 0 and "maillog: " in r.stderr
    assert victim.read_text() == "precious\n"


def test_maillog_that_root_links_elsewhere_is_written(root, instance):
    m = instance()
    (m.dir / "elsewhere").touch()
    os.symlink(m.dir / "elsewhere", m.dir / "log/maillog")
    m.start()
    assert "daemon started" in (m.dir / "elsewhere").read_text()


def test_long_import_environment_is_written_behind_its_array(instance):
    m = instance(main="import_environment = " + " ".join(f"N{i}=v" for i in range(200)))
    m.start()
    assert m.send("u@mbox.test").startswith("250")


def test_forgotten_maildrop_files_stay_for_ever(root, mta):
    drop = mta.dir / "spool/maildrop"
    for name, age in (("OLD0", 100000), ("NEW0", 10)):
        (drop / name).write_bytes(b"V\0\0\0\x011")
        shutil.chown(drop / name, "hkuser")
        os.chmod(drop / name, 0o600)
        os.utime(drop / name, (time.time() - age,) * 2)
    mta.cmd("sendmail", "u@mbox.test", input="x\n")
    harness.wait_for("the forgotten file to go", lambda: not (drop / "OLD0").exists())
    assert (drop / "NEW0").exists()


def test_a_worker_that_connects_to_sockets_of_root_is_not_answered(root, instance):
    """What a smtpd that may connect to its policy service could try, being mail_owner like all workers."""
    m = instance(master="proxywrite unix - - n - 1 proxymap\n").start()
    owner = pwd.getpwnam("postfix")
    code = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(30)\ns.connect(sys.argv[1])\nprint(s.recv(1))\n"
    for name in ("queue", "proxywrite"):
        r = subprocess.run([sys.executable, "-c", code, str(m.dir / "spool/private" / name)], user=owner.pw_uid, group=owner.pw_gid, extra_groups=[], capture_output=True, text=True)
        assert r.stdout == "b''\n" or "ConnectionResetError" in r.stderr, (name, r)


def test_users_take_every_place_and_root_cannot_administer(mta):
    held = []
    try:
        for _ in range(520):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(mta.dir / "spool/public/flush"))
            held.append(s)
        assert mta.cmd("postcat", "-q", "NOSUCH", check=False).returncode != 124
        assert "NOSUCH" not in mta.cmd("postsuper", "-d", "NOSUCH", check=False).stdout
        mta.cmd("postsuper", "-h", "ALL")
    finally:
        for s in held:
            s.close()


@pytest.mark.parametrize("rule, ok", [("static:anyone", True), ("!hkuser, static:anyone", False), ("!{dir}/no, static:anyone", False),
                                      ("{dir}/no", True), ("root", False), ("!hash:{dir}/t, static:anyone", False),
                                      ("texthash:{dir}/no", True), ("!texthash:{dir}/no, static:anyone", False),
                                      ("inline:{{{{other=x}}}}", False)])
def test_submitter_on_a_negated_list_may_post(root, instance, rule, ok):
    m = instance(main=f"authorized_submit_users = {rule}")
    (m.dir / "no").write_text("hkuser\n" if rule.endswith("{dir}/no") and not rule.startswith("texthash") else "hkuser x\n")
    os.chmod(m.dir / "spool", 0o755)
    (m.dir / "spool/maildrop").mkdir(mode=0o777)
    os.chmod(m.dir / "spool/maildrop", 0o777)
    data = b"V\0\0\0\x011S\0\0\0\x01aR\0\0\0\x01bX\0\0\0\x00"
    r = subprocess.run([str(harness.BIN / "postdrop"), "-c", str(m.dir / "etc")], input=data, capture_output=True, user="hkuser", group="hkuser", extra_groups=[])
    assert (r.returncode == 0) == ok, r.stderr
    assert bool(os.listdir(m.dir / "spool/maildrop")) == ok


@pytest.mark.parametrize("rule, ok", [("static:anyone", True), ("!hkuser, static:anyone", False), ("!hash:{dir}/t, static:anyone", False), ("root", False)])
def test_reader_on_a_negated_list_may_see_the_queue(root, instance, rule, ok):
    m = instance(main=f"authorized_mailq_users = {rule}")
    r = subprocess.run([str(harness.BIN / "postqueue"), "-c", str(m.dir / "etc"), "-p"], capture_output=True, text=True, user="hkuser", group="hkuser", extra_groups=[])
    refused = "not allowed to view the mail queue" in r.stderr or "hash:" + str(m.dir / "t") + ": table lookup problem" in r.stderr
    assert refused != ok, r.stderr


@pytest.fixture
def set_gid_postqueue(root, instance):
    """postqueue as it is installed, /etc/postfix as `rules` says, run by a user. (system, run)"""
    m = instance()
    binary, etc = m.dir / "postqueue", m.dir / "system-etc"
    shutil.copy(harness.BIN / "postqueue", binary)
    shutil.chown(binary, "root", "postdrop")
    os.chmod(binary, 0o2755)
    (etc / "postfix").mkdir(parents=True)
    for f in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
        if os.path.exists(f"/etc/{f}"):
            shutil.copy(f"/etc/{f}", etc / f)
    (m.dir / "secret").write_text("hkuser x\n")  # what the group may read and the user may not
    shutil.chown(m.dir / "secret", "root", "postdrop")
    os.chmod(m.dir / "secret", 0o640)

    def run(rules, *args, **env):
        (etc / "postfix/main.cf").write_text(m.main_cf.read_text() + f"authorized_mailq_users = {rules}\n")
        r = subprocess.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc), "setpriv", "--reuid=hkuser",
                            "--regid=hkuser", "--clear-groups", str(binary), *args, "-p"], capture_output=True, text=True, env=m.env | env)
        return r.stderr

    return m, run


def test_users_configuration_makes_set_gid_postqueue_open_tables(set_gid_postqueue):
    m, run = set_gid_postqueue
    secret = f"texthash:{m.dir}/secret"
    theirs = m.dir / "theirs"
    theirs.mkdir()
    (theirs / "main.cf").write_text(m.main_cf.read_text() + f"authorized_mailq_users = {secret}\n")
    assert "not allowed" not in run(secret) and "lookup problem" not in run(secret)  # it has the rights
    for said in (run("root", "-c", str(theirs)), run("root", MAIL_CONFIG=str(theirs))):
        assert f"postqueue: error: unauthorized configuration directory name: {theirs}" in said
        assert f'postqueue: fatal: specify "alternate_config_directories = {theirs}" or "multi_instance_directories = {theirs}"' in said
    for name in ("alternate_config_directories", "multi_instance_directories"):
        assert "unauthorized" not in run(f"root\n{name} = /x, {theirs}", "-c", str(theirs))


def test_users_environment_or_module_reaches_set_gid_postqueue(set_gid_postqueue):
    m, run = set_gid_postqueue
    assert "is not allowed to view the mail queue" in run("environ:", hkuser="x")
    (m.dir / "t.cf").write_text("dbpath = /nonexistent\nquery = SELECT 1\n")
    assert f"sqlite:{m.dir}/t.cf: table lookup problem" in run(f"sqlite:{m.dir}/t.cf")


def test_journal_written_by_root_cannot_be_opened_by_queue(root, instance):
    """postsuper, postcat and postqueue on a stopped system work with mail_owner's rights; nothing in journal/ becomes root's."""
    m = instance(main="defer_transports = smtp")
    m.start()
    for i in range(3):
        assert m.send(f"x{i}@relay.test").startswith("250")
    harness.wait_for("three messages", lambda: len(m.queue()) == 3)
    m.stop()
    qid = m.queue()[0]["queue_id"]
    m.cmd("postsuper", "-h", "ALL")
    m.cmd("postsuper", "-d", qid)
    assert "x" in m.cmd("postcat", "-q", m.queue()[0]["queue_id"]).stdout
    assert {owner_of(p) for p in (m.dir / "spool/journal").rglob("*")} == {"postfix"}
    m.start()
    assert [q["queue_name"] for q in m.queue()] == ["hold", "hold"]


def test_postsuper_as_root_opens_links_in_the_journal(root, instance):
    m = instance()
    m.start()
    m.stop()
    victim = m.dir / "victim"
    victim.write_bytes(b"precious\n" * 10)
    os.chmod(victim, 0o600)
    shutil.rmtree(m.dir / "spool/journal")
    (m.dir / "spool/journal").mkdir()
    shutil.chown(m.dir / "spool/journal", "postfix")
    for name in ("00000001.seg", "00000001", "1", "lock", "seg00000001"):
        os.link(victim, m.dir / "spool/journal" / name)
    m.cmd("postsuper", "-d", "ALL", check=False)
    assert victim.read_bytes() == b"precious\n" * 10
