"""Dockerfile and compose files, by what they say; what their steps do is checked by ``make docker-check``."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

import h_dqn.cli as cli
from tests.dockerfile import ROOT, commands, read, words

ARGUMENTS, STAGES = read()
BASED_ON_EMBEDDED = ["embedded"]
for _name, _stage in STAGES.items():  # which come after those that they are based on
    BASED_ON_EMBEDDED += [_name] if _stage.base in BASED_ON_EMBEDDED else []
WHOLE = ("embedded", "minerl")  # the stages that begin with somebody else's image


def compose(*names: str) -> dict[str, Any]:
    """The services of compose files, the later ones laid over the first, as far as this project's need it."""
    yaml = pytest.importorskip("yaml")
    services: dict[str, Any] = {}
    for name in names or ("compose.yaml",):
        for service, said in yaml.safe_load((ROOT / name).read_text())["services"].items():
            services.setdefault(service, {}).update(said)
    return services


def runs(name: str) -> Iterator[str]:
    """The commands of all RUN instructions of a stage."""
    for text in STAGES[name].values("RUN"):
        yield from commands(text)


# --- building ----------------------------------------------------------------------------------------------------------


def test_an_image_is_built_in_one_place() -> None:
    """Docker refuses two services that build and tag one image at once; one without `build` must not look for it online."""
    services = compose()
    built = [service["image"] for service in services.values() if "build" in service]
    assert sorted(built) == sorted(set(built))
    for service in services.values():
        assert service["image"] in built
        assert "build" in service or service["pull_policy"] == "never"
        assert service.get("build", {}).get("target", "embedded") in STAGES


@pytest.mark.parametrize("name", STAGES)
def test_what_adds_an_archive_has_gpg_and_its_agent(name: str) -> None:
    """Without recommended packages, add-apt-repository comes without gpg-agent, and gpg imports no key without it."""
    installed = ""
    for command in runs(name):
        installed += f" {command} " if command.startswith("apt-get install") else ""
        if command.startswith("add-apt-repository"):
            assert "--no-install-recommends" not in installed or " gpg-agent " in installed


@pytest.mark.parametrize("name", WHOLE)
def test_torch_is_the_small_build_and_stays(name: str) -> None:
    """Its index is an argument; what is installed afterwards is content with it, whatever it is called."""
    stage, wanted = STAGES[name], tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"][0]
    assert ARGUMENTS["TORCH_INDEX"].endswith("/cpu")
    assert "TORCH_INDEX" in stage.values("ARG")
    installs = [command for command in runs(name) if "pip install" in command]
    torch = next(command for command in installs if "torch" in command)
    assert '${TORCH_INDEX:+--index-url "$TORCH_INDEX"}' in torch
    assert shlex.split(torch)[-1] == wanted
    assert installs.index(torch) < next(n for n, command in enumerate(installs) if "-e ." in command)
    for version in ("2.9.0+cpu", "2.13.0+cpu", "2.13.0+cu130", "2.13.0"):
        assert version in SpecifierSet(wanted.removeprefix("torch"))
    requirements = (ROOT / "envs" / "minerl" / "requirements.txt").read_text()
    assert not re.search(r"^torch\b", requirements, re.MULTILINE)


def test_the_learner_can_have_a_gpu() -> None:
    services = compose("compose.yaml", "compose.gpu.yaml")
    learner = services["learner"]
    assert learner["build"]["args"]["TORCH_INDEX"] == ""
    assert learner["image"] != compose()["learner"]["image"], "else one build takes the other's place"
    assert learner["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_the_nodes_of_a_cluster_are_alike_and_only_there_when_asked_for() -> None:
    head, worker, learner = (compose()[name] for name in ("ray-head", "ray-worker", "learner"))
    for node in (head, worker):
        assert node["profiles"] == ["ray"]
        assert [node[key] for key in ("volumes", "user")] == [learner[key] for key in ("volumes", "user")]
        assert node["image"] == "h-dqn-ray"
    assert head["build"]["target"] == "ray"
    assert "--head" in head["entrypoint"]
    assert "--address=ray-head:6379" in worker["entrypoint"]


# --- running -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STAGES)
def test_any_user_may_run_an_image(name: str) -> None:
    """HOME and a user's name are said; both folders that are written to are anybody's; the program can be read, whatever umask."""
    whole = STAGES["embedded" if name in BASED_ON_EMBEDDED else name]
    assert {"HOME": "/home/app", "USER": "app"}.items() <= whole.settings("ENV").items()
    done = list(runs(whole.name))
    assert "chmod 1777 /home/app /work" in done
    assert "chmod -R a+rX /opt/h-dqn" in done
    assert not any("chown" in command for command in done)
    assert STAGES[name].last("USER") == "app"
    assert whole.last("WORKDIR") == "/work"


def test_what_is_learned_lies_in_the_clone_and_is_its_owners() -> None:
    learner = compose()["learner"]
    assert learner["volumes"] == [".:/work"]
    assert learner["user"] == "${UID:-1000}:${GID:-1000}"
    assert ".env" in (ROOT / ".gitignore").read_text().split()


def test_stop_waits_for_a_checkpoint() -> None:
    """Longer than the longest answer of a Minecraft, and the signal reaches the program: nothing between dies of it."""
    from envs.minerl.settings import Settings

    learner = compose()["learner"]
    minutes = int(learner["stop_grace_period"].removesuffix("m"))
    assert 60 * minutes > Settings(addresses=()).reset_s + 30
    assert learner["init"] is True
    for name in STAGES:
        assert "xvfb-run" not in STAGES[name].last("ENTRYPOINT"), "a shell that does not hand signals on, and mixes the outputs"
    assert STAGES["minerl"].settings("ENV")["MINERL_HEADLESS"] == "1"


def test_logs_are_bounded_and_minecraft_comes_back() -> None:
    for name, service in compose().items():
        assert {"max-size", "max-file"} <= set(service["logging"]["options"])
        if name.startswith("minecraft"):
            assert service["restart"] == "unless-stopped"
            assert service["entrypoint"][-1] == "envs.minerl.serve"


# --- what is said ------------------------------------------------------------------------------------------------------

SHOWN = ("Dockerfile", "compose.yaml", "compose.gpu.yaml", "envs/minerl/README.md")
RUNS_H_DQN = re.compile(
    r"(?:docker compose[^`\n]*? run (?:--\S+ )*learner|docker run [^`\n]* h-dqn\S*|^h-dqn) ([a-z].*)", re.MULTILINE
)


@pytest.mark.parametrize("name", SHOWN)
def test_commands_that_are_shown_can_be_typed_and_end_in_hours(name: str) -> None:
    found = 0
    for line in RUNS_H_DQN.findall((ROOT / name).read_text()):
        if line.startswith("-"):
            continue  # of another program in the image
        arguments = shlex.split(line.partition("`")[0], comments=True)
        cli.parse(arguments)
        found += 1
        if arguments[0] == "train" and "minerl" in arguments:
            assert {"--until", "--env-steps", "--from"} <= set(arguments), "else 700,000 steps of Minecraft, which is a day"
    assert found


@pytest.mark.parametrize("name", SHOWN)
def test_services_and_targets_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    assert set(re.findall(r"--target (\S+)", text)) <= set(STAGES)
    assert set(re.findall(r"\bminecraft-\d\b", text)) <= {*compose(), "minecraft-3"}
    assert "minecraft.sh" not in text


def test_the_exec_forms_are_json() -> None:
    for stage in STAGES.values():
        for word in ("ENTRYPOINT", "CMD", "SHELL"):
            for value in stage.values(word):
                assert words(value)
