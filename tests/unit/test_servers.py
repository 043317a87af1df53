"""`LATEINT_REQUIRE_SERVERS`: a green run means that the tests of these servers ran."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/integration/test_qdrant_borrow.py']))"
WITHOUT_CLIENT = f"import sys, pytest; sys.modules['qdrant_client'] = None; {RUN}"
WITHOUT_SERVER = f"""
import sys, pytest
from tests.servers import discovery

def nothing(*arguments):
    raise discovery.ServerNotFound("no Qdrant server, and no Docker.")

discovery.qdrant = nothing
{RUN}
"""


def outcome(program: str, required: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"LATEINT_REQUIRE_SERVERS": required},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_server_that_is_not_there() -> None:
    """Skipped with the reason, unless it is required: then every test that needs it fails with the same reason."""
    pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")
    code, said = outcome(WITHOUT_SERVER, "")
    assert (code, "failed" in said) == (0, False)
    assert "no Docker" in said
    code, said = outcome(WITHOUT_SERVER, "qdrant")
    assert (code, "skipped" in said) == (1, False)
    assert "no Docker. LATEINT_REQUIRE_SERVERS asks for one." in said


@pytest.mark.parametrize(
    ("required", "reason"), [("qdrant", "qdrant_client is not installed"), ("qdrnat", "'qdrnat' is none of qdrant")]
)
def test_tests_that_could_not_even_be_imported(required: str, reason: str) -> None:
    """Files that need the client skip themselves as a whole, before any server is looked for."""
    code, said = outcome(WITHOUT_CLIENT, required)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert reason in said
