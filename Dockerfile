# Images for people who have no Python, or want Minecraft. All run as any user: what is kept goes to /work, caches to HOME.
# Where pip takes torch from: the build without CUDA (pytorch.org, "Start locally"), a tenth of the size. With --build-arg TORCH_INDEX=
# it comes from pip's own index, with CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# The embedded world and the learner. Build: docker build --target embedded -t h-dqn .
# Run: docker run --rm -it --user "$(id -u):$(id -g)" -v "$PWD:/work" h-dqn demo
FROM python:3.11-slim-bookworm AS embedded
# opencv-python needs libGL and glib at import.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# A user without an entry in /etc/passwd has neither HOME nor a name, unless they are said here.
ENV HOME=/home/app USER=app
RUN useradd --create-home --uid 1000 app && mkdir /work && chmod 1777 /home/app /work
WORKDIR /opt/h-dqn
# Torch first: it is the largest layer and changes least.
ARG TORCH_INDEX
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.9,<=2.13.0"
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY envs envs
COPY h_dqn h_dqn
COPY skills_library skills_library
RUN pip install --no-cache-dir -c constraints.txt -e . && chmod -R a+rX /opt/h-dqn
USER app
WORKDIR /work
ENTRYPOINT ["h-dqn"]
CMD ["--help"]

# With the world of `--world luanti`. Build: docker build --target luanti -t h-dqn-luanti .
FROM embedded AS luanti
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends minetest xvfb \
    && rm -rf /var/lib/apt/lists/*
USER app

# A node of several machines (`--ray`), with the world of `--world luanti`. Build: docker build --target ray -t h-dqn-ray .
# With others: see compose.yaml
FROM luanti AS ray
USER root
RUN pip install --no-cache-dir -c /opt/h-dqn/constraints.txt "ray>=2.9"
USER app

# The learner for Minecrafts in other containers: with MineRL's Python client, without Minecraft.
# Build: docker build --target learner -t h-dqn-learner .   With Minecrafts: see compose.yaml
FROM embedded AS learner
USER root
RUN pip install --no-cache-dir -r /opt/h-dqn/envs/minerl/requirements.txt \
    && READTHEDOCS=1 pip install --no-cache-dir --no-deps minerl==0.4.4
USER app

# Minecraft 1.11.2 with MineRL's mod, and the learner. Contains code of Mojang's: build it yourself and do not publish it.
# Build: docker build --target minerl -t h-dqn-minerl .   Run: see envs/minerl/README.md
# If the wheel should vanish, its second copy is github.com/NM512/minerl, release v0.4.4-patched; or build the source (JDK 8, the sdist
# of minerl 0.4.4 with MixinGradle from github.com/verityw/MixinGradle-dcfaf61 and ForgeGradle from com.github.MineDojo in build.gradle,
# and without gym in requirements.txt: pip install .).
FROM ubuntu:22.04 AS minerl
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 LANG=C.UTF-8
# JDK 8 for Minecraft; Xvfb and Mesa for LWJGL 2, which also calls xrandr (x11-xserver-utils); tini, since MineRL reaps no children.
# add-apt-repository calls gpg, which ends without its agent, and only recommends it.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl gpg-agent libgl1 libgl1-mesa-dri libglew2.2 libglib2.0-0 \
        libx11-6 openjdk-8-jdk-headless openjdk-8-jre software-properties-common tini x11-xserver-utils xauth xvfb \
    && add-apt-repository -y ppa:deadsnakes/ppa \
    && apt-get update \
    && apt-get install -y --no-install-recommends python3.11 python3.11-dev python3.11-distutils python3.11-venv \
    && rm -rf /var/lib/apt/lists/*
# With MINERL_HEADLESS each Minecraft gets a virtual screen of its own.
ENV JAVA_HOME=/usr/lib/jvm/java-8-openjdk-amd64 MINERL_HEADLESS=1 HOME=/home/app USER=app
ENV PATH=/venv/bin:/usr/lib/jvm/java-8-openjdk-amd64/bin:$PATH
RUN python3.11 -m venv /venv && useradd --create-home --uid 1000 app && mkdir /work && chmod 1777 /home/app /work
ARG WHEEL=minerl_mirror-0.4.4-cp311-cp311-linux_x86_64.whl
ARG WHEEL_SHA256=b04e2cd21627e835d5b1566db1fe69ed1bff8abed1c804340ebd61c78a1dc631
# This build of 0.4.4 sleeps ten seconds in every reset, for an interactor that is not used here.
RUN curl -fsSL --retry 3 -o "/tmp/$WHEEL" "https://github.com/danijar/minerl/releases/download/v0.4.4-patched/$WHEEL" \
    && echo "$WHEEL_SHA256  /tmp/$WHEEL" | sha256sum -c - \
    && pip install --no-deps "/tmp/$WHEEL" \
    && rm "/tmp/$WHEEL" \
    && sed -i 's/^\( *\)time\.sleep(10)/\1pass/' /venv/lib/python3.11/site-packages/minerl/env/_multiagent.py \
    && mkdir -p /venv/lib/python3.11/site-packages/minerl/Malmo/Minecraft/run \
    && chmod -R a+rwX /venv/lib/python3.11/site-packages/minerl
WORKDIR /opt/h-dqn
ARG TORCH_INDEX
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.9,<=2.13.0"
COPY envs/minerl/requirements.txt envs/minerl/requirements.txt
RUN pip install -r envs/minerl/requirements.txt
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY envs envs
COPY h_dqn h_dqn
COPY skills_library skills_library
RUN pip install -c constraints.txt -e . && chmod -R a+rX /opt/h-dqn
USER app
WORKDIR /work
# 9000 is Minecraft's port; 10000 that of envs.minerl.serve, by which a learner has a Minecraft that hangs started anew.
EXPOSE 9000 10000
ENTRYPOINT ["tini", "-g", "--", "h-dqn"]
CMD ["--help"]
