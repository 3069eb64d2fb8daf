#!/bin/sh
# Takes the place of MineRL's launcher: says the two lines that it says, and is a stand-in for Minecraft meanwhile.
exec "$STANDIN_PYTHON" -m tests.minerl_launch "$@"
