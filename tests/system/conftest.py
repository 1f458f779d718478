import os, pathlib, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: also on the release build, with the sandbox in force")
    config.addinivalue_line("markers", "release_only: only on the release build")
    config.addinivalue_line("markers", "soak: only in ./run soak")
    os.environ.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=1:handle_abort=1")
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    # Debian's postfix is unpacked before the network is gone: see tools/test-all.


@pytest.fixture
def mta(tmp_path):
    """A started server with the harness's configuration and a sink behind default_transport."""
    with harness.Sink() as sink:
        with harness.Instance(tmp_path, sink_port=sink.port) as m:
            m.sink = sink
            yield m


@pytest.fixture
def instance(tmp_path):
    """A factory: instance(main="…", master="…") gives a configured, not yet started server; all are stopped at the end."""
    made = []

    def make(main="", master="", **kw):
        m = harness.Instance(tmp_path / f"mta{len(made)}", main, master, **kw)
        made.append(m)
        return m

    yield make
    for m in made:
        m.__exit__(None)


@pytest.fixture
def inside():
    if not harness.INSIDE:
        pytest.skip("needs a network namespace of its own: run as root")
