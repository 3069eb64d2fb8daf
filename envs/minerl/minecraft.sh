#!/bin/sh
# One Minecraft alone, for a learner elsewhere: listens on PORT (9000), on a virtual screen of its own. Runs as long as it does.
set -e
cd "$(python -c 'from envs.minerl.launch import package; print(package())')"
mkdir -p run
exec xvfb-run -a -s "-screen 0 1024x768x24 -ac +extension GLX +render -noreset" ./launchClient.sh -port "${PORT:-9000}" -env -runDir "$PWD/run"
