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
COPY pyproject.toml README.md ./
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
