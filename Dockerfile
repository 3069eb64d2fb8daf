# The embedded world and the learner. Build: docker build --target embedded -t h-dqn .   Run: docker run --rm -it h-dqn demo
FROM python:3.11-slim-bookworm AS embedded
# opencv-python needs libGL and glib at import.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 app
WORKDIR /opt/h-dqn
# Torch first: it is the largest layer and changes least.
RUN pip install --no-cache-dir "torch>=2.9,<=2.13.0"
COPY pyproject.toml README.md LICENSE ./
COPY envs envs
COPY h_dqn h_dqn
COPY skills_library skills_library
RUN pip install --no-cache-dir -e . && chown -R app:app /opt/h-dqn
USER app
WORKDIR /home/app
ENTRYPOINT ["h-dqn"]
CMD ["--help"]

# With the world of `--world luanti`. Build: docker build --target luanti -t h-dqn-luanti .
FROM embedded AS luanti
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends minetest xvfb \
    && rm -rf /var/lib/apt/lists/*
USER app

# The learner for Minecrafts in other containers: with MineRL's Python client, without Minecraft.
# Build: docker build --target learner -t h-dqn-learner .   With Minecrafts: see compose.yaml
FROM embedded AS learner
USER root
RUN pip install --no-cache-dir -r /opt/h-dqn/envs/minerl/requirements.txt \
    && READTHEDOCS=1 pip install --no-cache-dir --no-deps minerl==0.4.4 \
    && mkdir /home/app/runs /home/app/skills && chown app:app /home/app/runs /home/app/skills
USER app

# Minecraft 1.11.2 with MineRL's mod, and the learner. Contains code of Mojang's: build it yourself and do not publish it.
# Build: docker build --target minerl -t h-dqn-minerl .   Run: docker run --rm -it h-dqn-minerl train skill navigation1 --world minerl
# If the wheel should vanish, its second copy is github.com/NM512/minerl, release v0.4.4-patched; or build the source (JDK 8, the sdist
# of minerl 0.4.4 with MixinGradle from github.com/verityw/MixinGradle-dcfaf61 and ForgeGradle from com.github.MineDojo in build.gradle,
# and without gym in requirements.txt: pip install .).
FROM ubuntu:22.04 AS minerl
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 LANG=C.UTF-8
# JDK 8 for Minecraft; Xvfb and Mesa for LWJGL 2, which also calls xrandr (x11-xserver-utils); tini, since MineRL reaps no children.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libgl1 libgl1-mesa-dri libglew2.2 libglib2.0-0 libx11-6 \
        openjdk-8-jdk-headless openjdk-8-jre software-properties-common tini x11-xserver-utils xauth xvfb \
    && add-apt-repository -y ppa:deadsnakes/ppa \
    && apt-get update \
    && apt-get install -y --no-install-recommends python3.11 python3.11-dev python3.11-distutils python3.11-venv \
    && rm -rf /var/lib/apt/lists/*
ENV JAVA_HOME=/usr/lib/jvm/java-8-openjdk-amd64
ENV PATH=/venv/bin:/usr/lib/jvm/java-8-openjdk-amd64/bin:$PATH
RUN python3.11 -m venv /venv && useradd --create-home --uid 1000 app
ARG WHEEL=minerl_mirror-0.4.4-cp311-cp311-linux_x86_64.whl
ARG WHEEL_SHA256=b04e2cd21627e835d5b1566db1fe69ed1bff8abed1c804340ebd61c78a1dc631
# This build of 0.4.4 sleeps ten seconds in every reset, for an interactor that is not used here.
RUN curl -fsSL --retry 3 -o "/tmp/$WHEEL" "https://github.com/danijar/minerl/releases/download/v0.4.4-patched/$WHEEL" \
    && echo "$WHEEL_SHA256  /tmp/$WHEEL" | sha256sum -c - \
    && pip install --no-deps "/tmp/$WHEEL" \
    && rm "/tmp/$WHEEL" \
    && sed -i 's/^\( *\)time\.sleep(10)/\1pass/' /venv/lib/python3.11/site-packages/minerl/env/_multiagent.py \
    && chown -R app:app /venv/lib/python3.11/site-packages/minerl
WORKDIR /opt/h-dqn
RUN pip install "torch>=2.9,<=2.13.0"
COPY envs/minerl/requirements.txt envs/minerl/requirements.txt
RUN pip install -r envs/minerl/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY envs envs
COPY h_dqn h_dqn
COPY skills_library skills_library
COPY --chmod=755 envs/minerl/minecraft.sh /usr/local/bin/minecraft
RUN pip install -e . && chown -R app:app /opt/h-dqn
USER app
WORKDIR /home/app
HEALTHCHECK --interval=10s --timeout=5s CMD ["bash", "-c", "grep -qsx Xvfb /proc/[0-9]*/comm"]
ENTRYPOINT ["tini", "-g", "--", "xvfb-run", "-a", "-s", "-screen 0 1024x768x24 -ac +extension GLX +render -noreset", "h-dqn"]
CMD ["--help"]
