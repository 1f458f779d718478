#!/usr/bin/python3
"""Our server, for ../shared/oracle/run-dialogues.py: control.py start|stop|reload DIR, control.py cmd DIR PROG ARGS…

The runner asks `postqueue -j` until no message is on its way, and then reads the log at once. So that answer is given when the log is complete:
each session that was closed has its line, and so has each message that left the queue."""
import json, os, pathlib, re, socket, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
CONTROL = HERE.parents[2] / "shared/oracle/run-hikyaku.sh"
SECONDS = 20  # the runner's own patience is 30
ESTABLISHED = "01"


def smtp_ports(folder):
    names = re.findall(r"^(\S+)\s+inet\s.*\ssmtpd$", (folder / "etc/master.cf").read_text(), re.M)
    ports = [name.rsplit(":", 1)[-1] for name in names]
    return {int(p) if p.isdigit() else socket.getservbyname(p) for p in ports}


def open_sessions(ports):
    """Connections to us that no client has closed."""
    lines = [l.split() for f in ("tcp", "tcp6") for l in pathlib.Path(f"/proc/self/net/{f}").read_text().splitlines()[1:]]
    return sum(l[3] == ESTABLISHED and int(l[1].rsplit(":", 1)[1], 16) in ports for l in lines)


def is_complete(folder, listed):
    log = (folder / "log/maillog").read_text(errors="surrogateescape")
    sessions = len(re.findall(r"smtpd\[\d+\]: connect from ", log)) - len(re.findall(r"smtpd\[\d+\]: disconnect from ", log))
    under_way = set(re.findall(r": (\w+): from=<.*nrcpt=", log)) - set(re.findall(r": (\w+): removed", log))
    return sessions == open_sessions(smtp_ports(folder)) and under_way <= {json.loads(l).get("queue_id") for l in listed.splitlines()}


def listing(folder, command):
    """Twice: what was done before the first answer is in the log when the second comes."""
    end, times = time.monotonic() + SECONDS, 0
    while True:
        r = subprocess.run(command, stdout=subprocess.PIPE)
        times = times + 1 if r.returncode == 0 and is_complete(folder, r.stdout.decode("utf-8", "surrogateescape")) else 0
        if times == 2 or time.monotonic() > end:
            sys.stdout.buffer.write(r.stdout)
            return r.returncode
        time.sleep(0.02)


def main(args):
    command = [str(CONTROL), *args]
    if args[0] == "cmd" and args[2:] == ["postqueue", "-j"]:
        return listing(pathlib.Path(args[1]), command)
    os.execv(CONTROL, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
