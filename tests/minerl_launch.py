"""The program behind the launcher of the tests: behaves, in turn or at random, as Minecraft's start is known to.

``STANDIN_START`` names what it does: well, silent, early (exit), or random; ``STANDIN_TASK`` the task.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time

from tests.minerl_standin import StandIn


def main() -> None:
    port = int(sys.argv[sys.argv.index("-port") + 1])
    start = os.environ.get("STANDIN_START", "well")
    if start == "random":
        start = random.choices(("well", "silent", "early"), (8, 1, 1))[0]
    if start == "early":
        print("Exception in thread main: no display", flush=True)
        sys.exit(3)
    if start == "silent":
        time.sleep(3600)
    stand = StandIn(os.environ.get("STANDIN_TASK", "navigation1"), port=port)
    print("Loading Minecraft ...", flush=True)
    print(f"***** Start MalmoEnvServer on port {stand.port}", flush=True)
    print("[CLIENT] CLIENT enter state: DORMANT", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
