"""Debian's Postfix as a neighbour: a whole server in a folder of its own, from the package unpacked under build/peers."""
import os, pathlib, pwd, signal, socket, subprocess

import pytest
from harness import MASTER, PEERS, debian_postfix, free_port, peer_env, wait_for, write_settled

MAIN = """\
compatibility_level = 3.6
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME LD_LIBRARY_PATH={libraries}
daemon_directory = {top}/usr/lib/postfix/sbin
command_directory = {top}/usr/sbin
shlib_directory = {top}/usr/lib/postfix
meta_directory = {dir}/etc
queue_directory = {dir}/spool
data_directory = {dir}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log/maillog
maillog_file_prefixes = {dir}
myhostname = postfix.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
default_transport = smtp:[127.0.0.1]:{next_port}
smtp_tls_security_level =
smtpd_error_sleep_time = 0
in_flow_delay = 0
"""


class Postfix:
    """Relays everything to next_port. Use: with Postfix(folder, next_port) as p: … p.port"""

    def __init__(self, folder, next_port, main=""):
        top = debian_postfix()
        if top is None:
            pytest.skip("Debian's postfix package could not be fetched")
        self.dir, self.port = pathlib.Path(folder), free_port()
        queue = "active bounce corrupt defer deferred flush hold incoming private maildrop public saved trace".split()
        for d in ("etc", "data", "log", "spool", "spool/pid", *(f"spool/{q}" for q in queue)):
            (self.dir / d).mkdir(parents=True, exist_ok=True)
        uid = pwd.getpwnam("postfix").pw_uid
        for d in ("data", *(f"spool/{q}" for q in queue)):
            os.chown(self.dir / d, uid, -1)
        p = self.dir
        while p != p.parent:
            if p.stat().st_uid == 0 and str(p).startswith(("/tmp/pytest", "/tmp/hk")):
                p.chmod(0o755)
            p = p.parent
        names = dict(dir=self.dir, top=top, port=self.port, next_port=next_port, libraries=PEERS / "postfix/usr/lib/postfix")
        write_settled(self.dir / "etc/main.cf", MAIN.format(**names) + main)
        write_settled(self.dir / "etc/master.cf", MASTER.format(port=self.port))
        self.top = top

    def __enter__(self):
        # master closes every descriptor up to the limit when it starts
        self.process = subprocess.Popen(["bash", "-c", 'ulimit -n 4096; exec "$0" "$@"', str(self.top / "usr/lib/postfix/sbin/master"), "-c",
                                         str(self.dir / "etc"), "-d"], env=peer_env(),
                                        stdin=subprocess.DEVNULL, stdout=(self.dir / "log/out").open("w"), stderr=subprocess.STDOUT)
        try:
            wait_for("Postfix", self.answers)
        except AssertionError:
            self.__exit__()
            raise AssertionError((self.dir / "log/out").read_text() + self.log())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return s.recv(100).startswith(b"220")
        except OSError:
            return False

    def log(self):
        try:
            return (self.dir / "log/maillog").read_text(errors="replace")
        except OSError:
            return ""

    def is_idle(self):
        return not any(f.is_file() for q in ("incoming", "active", "maildrop") for f in (self.dir / "spool" / q).rglob("*"))
