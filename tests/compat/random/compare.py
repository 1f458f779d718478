#!/usr/bin/python3
"""Plays sessions nobody wrote (sessions.py) against Postfix and against ours, and shows what differs. README.md says how to read it.

  compare.py FIRST [LAST] [--sessions N]      seeds FIRST … LAST, N sessions each (default 40)
  compare.py --file CASES.case                the cases of a file of yours

Needs what dialogues/play.py --record needs. Writes KEEP/SEED-CASE.diff (KEEP: a folder, default /tmp/hikyaku-random), each with the
smallest session that differs as text that a file in dialogues/ takes."""
import argparse, json, os, pathlib, re, shutil, subprocess, sys, tempfile, threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "dialogues")]
sys.dont_write_bytecode = True
os.environ.setdefault("HIKYAKU_BUILD", "build/release")
os.environ.setdefault("PATIENCE", "6")
import play, sessions
from known import explained

KEEP = pathlib.Path(os.environ.get("KEEP", "/tmp/hikyaku-random"))
STEPS_TRIED = int(os.environ.get("TRIES", 40))  # at most, for one difference


# ---- one server, in namespaces of its own; it plays what it is told

def serve(file, is_oracle):
    told, sys.stdout = sys.stdout, sys.stderr
    top = tempfile.mkdtemp(prefix="hk-random-")
    os.chmod(top, 0o755)
    server = play.Server(play.Group(pathlib.Path(file)), f"{top}/s", is_oracle)
    try:
        server.start()
        for line in sys.stdin:
            asked = json.loads(line)
            case = play.Case(asked["name"])
            case.steps = asked["steps"]
            print(json.dumps(play.play(server, case)), file=told, flush=True)
    finally:
        server.stop()
        shutil.rmtree(top, ignore_errors=True)


class Player:
    def __init__(self, file, who):
        self.p = subprocess.Popen([play.ROOT / "tests/system/inside", sys.executable, __file__, f"--serve-{who}", file],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(KEEP / f"{who}.err").open("w"), text=True)

    def ask(self, name, steps):
        self.p.stdin.write(json.dumps(dict(name=name, steps=steps)) + "\n")
        self.p.stdin.flush()

    def answer(self):
        line = self.p.stdout.readline()
        if not line:
            raise EOFError("the server under test is gone")
        return json.loads(line)

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()


class Pair:
    """Postfix and ours with one configuration."""

    def __init__(self, file):
        self.players = [Player(file, who) for who in ("postfix", "ours")]

    def differences(self, name, steps):
        for p in self.players:
            p.ask(name, steps)
        postfix, ours = (p.answer() for p in self.players)
        return play.differences(explained(postfix), explained(ours))

    def smallest(self, name, steps, diff):
        """Drops steps for as long as something of the first difference is left."""
        want, tries = changed(diff), 0
        i = len(steps) - 2  # the last one reads to the end
        while i >= 0 and tries < STEPS_TRIED:
            fewer = steps[:i] + steps[i + 1:]
            found = self.differences(name, fewer)
            tries += 1
            if want & changed(found):
                steps, diff = fewer, found
            i = min(i - 1, len(steps) - 2)
        return steps, diff

    def close(self):
        for p in self.players:
            p.close()


def changed(diff):
    return {l for l in diff if l[:1] in "+-" and l[:3] not in ("+++", "---") and len(l) > 6}


# ---- seeds

def compare(file, label):
    """How many sessions were played, and how many differ."""
    group = play.Group(file)
    pair, failed = Pair(file), 0
    try:
        for case in group.cases:
            diff = pair.differences(case.name, case.steps)
            if not diff:
                continue
            again = pair.differences(case.name, case.steps)
            if not changed(diff) & changed(again):
                print(f"{label}/{case.name}: differs only sometimes", flush=True)
                (KEEP / f"{label}-{case.name}.chance").write_text("\n".join(diff), errors="surrogateescape")
                continue
            failed += 1
            steps, diff = pair.smallest(case.name, case.steps, again)
            text = "\n".join([f"[case {label} {case.name}]", *steps, "", *diff, "", "[main.cf]", *group.sections["main.cf"]])
            (KEEP / f"{label}-{case.name}.diff").write_text(text, errors="surrogateescape")
            print(f"{label}/{case.name}: differs", flush=True)
    except EOFError as e:
        print(f"{label}/{case.name}: {e}", flush=True)
        failed += 1
    finally:
        pair.close()
    return len(group.cases), failed


def seeds(first, last, count):
    played = failed = 0
    for seed in range(first, last + 1):
        file = KEEP / f"{seed}.case"
        file.write_text(sessions.text_of(seed, count), encoding="utf-8", errors="surrogateescape")
        n, bad = compare(file, str(seed))
        played, failed = played + n, failed + bad
        if not bad:
            file.unlink()
        print(f"seed {seed}: {played} sessions, {failed} differ", flush=True)
    return failed


def main(args):
    if args[0].startswith("--serve-"):
        return serve(args[1], args[0] == "--serve-postfix")
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("first", type=int, nargs="?")
    p.add_argument("last", type=int, nargs="?")
    p.add_argument("--sessions", type=int, default=40)
    p.add_argument("--file", type=pathlib.Path)
    o = p.parse_args(args)
    KEEP.mkdir(parents=True, exist_ok=True)
    if o.file:
        return 1 if compare(o.file, o.file.stem)[1] else 0
    return 1 if seeds(o.first, o.last or o.first, o.sessions) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
