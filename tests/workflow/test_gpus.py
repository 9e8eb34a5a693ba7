"""Snakemake's limit on GPU jobs and the leases together: a device for each job that runs."""

import os
import subprocess
import sys

from tests.helpers import ROOT

# A job holds its device until all that may run at once have one, and reports it.
JOB = """
import sys, time
from pathlib import Path
from lpclip.utils import gpu_lease
gpu_lease.FILE = Path("gpus.lock")
gpus = [gpu_lease.Gpu(number, f"GPU-{number}") for number in range(4)]
wave, output = int(sys.argv[1]), Path(sys.argv[2])
held = gpu_lease.lease(gpus)
output.write_text(f"{held.gpu.uuid} {held.others}")
end = time.monotonic() + 60
while len(list(Path().glob(f"{wave}-*.txt"))) < 4 and time.monotonic() < end:
    time.sleep(0.005)
"""
SNAKEFILE = """
rule all:
    input:
        expand("{wave}-{job}.txt", wave=[1, 2], job=range(4)),

rule job:
    input:
        lambda wildcards: [] if wildcards.wave == "1" else [f"1-{job}.txt" for job in range(4)],
    output:
        "{wave}-{job}.txt",
    resources:
        gpu=1,
    shell:
        "{PYTHON} job.py {wildcards.wave} {output}"
"""


def test_jobs_of_snakemake_have_a_gpu_each(tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "Snakefile").write_text(f"PYTHON = {sys.executable!r}\n{SNAKEFILE}")
    command = [sys.executable, "-m", "snakemake", "--cores", "4", "--resources", "gpu=4"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for wave in (1, 2):
        found = {path.read_text() for path in tmp_path.glob(f"{wave}-*.txt")}
        assert found == {f"GPU-{number} 0" for number in range(4)}
