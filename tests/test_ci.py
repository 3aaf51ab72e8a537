"""What continuous integration runs, with programs that only say what they were asked for."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".ci" / "run"

NEEDED = (
    *("bash", "cat", "chmod", "dirname", "env", "grep", "id", "ln", "mkdir", "mktemp", "readlink"),
    *("rm", "sed", "sh", "tail", "tee", "timeout", "tr"),
)
"""What the script itself and the programs here are made of."""

MAKE = """\
for word; do action=$word; done
found=
for name in iverilog vvp sta yosys c++ perl sh; do found="$found $(command -v $name)"; done
echo "$action: $found" >> {log}
echo "$action: $HOME ${{GRUHW_DATA-unset}} ${{XDG_CACHE_HOME-unset}}" >> {log}
echo "== $action passed in 1.50s (0:00:01) =="
exit $(cat {folder}/$action.status)
"""
APT = """\
case $* in *install*)
    for name in iverilog vvp; do echo '#!/bin/sh' > {bin}/$name; chmod +x {bin}/$name; done;;
esac
"""


class Machine:
    """One with ``make`` and some programs more, which do nothing."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "log"
        self.bin.mkdir()
        for name in NEEDED:
            found = shutil.which(name)
            assert found is not None, name
            (self.bin / name).symlink_to(found)
        self.add("make", MAKE.format(log=self.log, folder=folder))
        for name in ("c++", "perl", "sta", "yosys", *programs):
            self.add(name, "")
        self.statuses(setup=0, test=0, icarus=0)

    def add(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}")
        (self.bin / name).chmod(0o755)

    def statuses(self, **statuses: int) -> None:
        for action, status in statuses.items():
            (self.folder / f"{action}.status").write_text(str(status))

    def run(self) -> tuple[int, list[str]]:
        """The exit status, and the lines at the end."""
        environment = {"PATH": str(self.bin), "HOME": "/mine", "GRUHW_DATA": "/mine/data"}
        result = subprocess.run(
            ["bash", RUN], env=environment, capture_output=True, text=True, check=False
        )
        assert result.stderr == ""
        return result.returncode, result.stdout.splitlines()[-2:]

    def seen(self, action: str) -> tuple[set[str], list[str]]:
        """The programs that ``make`` found in an action, and its variables."""
        logged = [
            line.split()[1:]
            for line in self.log.read_text().splitlines()
            if line.startswith(action)
        ]
        programs, variables = logged
        return {Path(program).name for program in programs}, variables


def test_a_bare_machine_then_icarus(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "iverilog", "vvp")
    assert machine.run() == (
        0,
        [
            "Bare machine: test passed in 1.50s (0:00:01)",
            "With Icarus Verilog: icarus passed in 1.50s (0:00:01)",
        ],
    )
    programs, (home, data, cache) = machine.seen("test")
    assert programs == {"c++", "perl", "sh"}
    assert home != "/mine"
    assert (data, cache) == ("unset", "unset")
    assert not Path(home).exists()
    assert machine.seen("icarus")[0] == {"c++", "perl", "sh", "iverilog", "vvp"}
    # Packages come over the network, which may need settings.
    assert machine.seen("setup")[1] == ["/mine", "/mine/data", "unset"]


@pytest.mark.parametrize("statuses", [{"test": 2}, {"icarus": 2}, {"icarus": 5}])
def test_a_failure_of_either_is_one(statuses: dict[str, int], tmp_path: Path) -> None:
    machine = Machine(tmp_path, "iverilog", "vvp")
    machine.statuses(**statuses)
    status, lines = machine.run()
    assert status == 1
    assert len(lines) == 2  # the other one has run


def test_a_failure_of_the_setup_ends_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "iverilog", "vvp")
    machine.statuses(setup=2)
    assert machine.run()[0] == 2


def test_icarus_is_installed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.add("apt-get", APT.format(bin=machine.bin))
    machine.add("sudo", 'shift; exec "$@"')
    status, lines = machine.run()
    assert (status, lines[1]) == (0, "With Icarus Verilog: icarus passed in 1.50s (0:00:01)")


@pytest.mark.parametrize("apt", [None, "exit 1", "exit 0"])
def test_without_icarus_that_is_said(apt: str | None, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    if apt is not None:
        machine.add("apt-get", apt)
        machine.add("sudo", 'shift; exec "$@"')
    absent = "With Icarus Verilog: not run: it is absent and cannot be installed"
    status, lines = machine.run()
    assert (status, lines[1]) == (0, absent)
    machine.statuses(test=1)
    assert machine.run()[0] == 1
