import pathlib, sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "system")]
import harness


@pytest.fixture
def instance(tmp_path):
    """A factory: instance(main="…") gives a configured, not yet started server; all are stopped at the end."""
    made = []

    def make(main="", master="", **kw):
        made.append(harness.Instance(tmp_path / f"mta{len(made)}", main, master, **kw))
        return made[-1]

    yield make
    for m in made:
        m.__exit__(None)
