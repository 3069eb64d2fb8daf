"""Policies in repositories of the Hugging Face Hub (the extra ``hub``): their manifest, their weights, and a card as README.md.

Nothing is pushed unless it is asked for, and then privately. What is pulled is that of an archive, and checked like one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.reading import short
from skills_library.archive import MEMBERS
from skills_library.card import card_text
from skills_library.manifest import MANIFEST, Entry, Files, SkillError, read_manifest

README = "README.md"
ANSWER_S = 30.0  # that the Hub may be silent
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WHY = {  # what errors of the client are called, and what to do
    "RepositoryNotFoundError": "there is no such repository, or it is private: log in with: hf auth login",
    "GatedRepoError": "you have no access to it yet: ask for it on its page",
    "RevisionNotFoundError": "it has no such revision",
    "OfflineModeIsEnabled": "$HF_HUB_OFFLINE is set, so nobody is asked",
    "LocalTokenNotFoundError": "log in first, with: hf auth login",
}
_STATUS = {
    401: "log in first, with: hf auth login",
    403: "you may not do this there; is your token one that may write?",
    409: "it was changed meanwhile; try again",
    412: "it was changed meanwhile; try again",
}


@dataclass(frozen=True)
class Pushed:
    """What came of :func:`push`: the commit that has the policy, and whether it is new."""

    repo: str
    commit: str
    new: bool


def push(files: Files, repo: str, public: bool = False, endpoint: str | None = None) -> Pushed:
    """Put a policy into a repository, which is made where there is none, as one commit; what is there already makes none.

    Args:
        files: its manifest and weights.
        repo: ``USER/NAME``.
        public: whether all may see it; else a repository that all can see is refused.
        endpoint: address of the Hub, if not the usual one.
    Raises :class:`SkillError` in one line.
    """
    hub = _client()
    manifest = read_manifest(Path(MANIFEST), files=files)
    if any(len(files[name]) > most for name, most in MEMBERS.items()):
        raise SkillError(f"{repo}: '{manifest['name']}' is too large to be shared; nothing was pushed")
    with _telling(repo, hub):
        api = hub.HfApi(endpoint=endpoint)
        api.create_repo(repo, private=not public, exist_ok=True)
        before = api.model_info(repo)
        if not before.private and not public:
            raise SkillError(f"{repo}: all can see this repository; give --public to push there, or another name")
        operations = [
            hub.CommitOperationAdd(name, data) for name, data in sorted({**files, README: readme(manifest).encode()}.items())
        ]
        done = api.create_commit(repo, operations, commit_message=f"Skill {manifest['name']}", parent_commit=before.sha)
        return Pushed(repo, done.oid, done.oid != before.sha)


def pull(repo: str, revision: str | None = None, endpoint: str | None = None) -> tuple[Files, str]:
    """Manifest and weights in a repository, not checked further, and where they come from: ``REPO@COMMIT``.

    Args:
        revision: a branch, a tag or a commit; by default the newest.
        repo, endpoint: see :func:`push`.
    Raises :class:`SkillError` in one line. No more is fetched than an archive may hold.
    """
    hub = _client()
    with _telling(repo, hub):
        api = hub.HfApi(endpoint=endpoint)
        found = api.model_info(repo, revision=revision, files_metadata=True)
        if not _COMMIT.fullmatch(str(found.sha)):
            raise SkillError(f"{repo}: '{short(found.sha)}' is no commit")
        sizes = {one.rfilename: one.size for one in found.siblings or ()}
        for name, most in MEMBERS.items():
            if name not in sizes:
                raise SkillError(f"{repo}: no skill is kept there (it has no {name})")
            if (sizes[name] or 0) > most:
                raise SkillError(f"{repo}: {name} has {sizes[name]:,} bytes; {most:,} at most")
        at = f"{api.endpoint}/{repo}/resolve/{found.sha}"
        return {name: _fetch(hub, f"{at}/{name}", f"{repo}: {name}", most) for name, most in MEMBERS.items()}, f"{repo}@{found.sha}"


def _fetch(hub: Any, url: str, what: str, most: int) -> bytes:
    # As it is sent: what is packed could become any size.
    headers, data = {**hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}, bytearray()
    with hub.utils.get_session().stream("GET", url, headers=headers, timeout=ANSWER_S, follow_redirects=True) as response:
        hub.utils.hf_raise_for_status(response)
        for part in response.iter_raw(1 << 16):
            data += part
            if len(data) > most:
                raise SkillError(f"{what} is more than {most:,} bytes")
    return bytes(data)


def readme(manifest: Entry) -> str:
    """A policy's card, with the head that the Hub reads. The licence is for whoever pushes it to choose."""
    results = [
        {
            "task": {"type": "reinforcement-learning"},
            "dataset": {"name": head["task"].get("name", "unknown"), "type": head["task"].get("name", "unknown")},
            "metrics": [
                {
                    "type": "success_rate",
                    "name": "success on unseen episodes",
                    "value": head["measured"]["success_rate"],
                    "args": {key: head["measured"][key] for key in ("ci95", "episodes", "seed") if key in head["measured"]},
                }
            ],
        }
        for head in manifest["heads"]
        if "success_rate" in head["measured"]
    ]
    head = {
        "library_name": "h-dqn",
        "pipeline_tag": "reinforcement-learning",
        "tags": ["reinforcement-learning", "h-dqn", "skill"],
        **({"model-index": [{"name": manifest["name"], "results": results}]} if results else {}),
    }
    lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())  # JSON is YAML
    use = "To use it: `h-dqn skills pull` and the name of this repository.\n"
    return f"---\n{lines}---\n\n{card_text(manifest)}\n{use}"


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise SkillError(f"the Hub needs huggingface_hub ({error}); install it with: pip install -e '.[hub]'") from error
    return huggingface_hub


@contextmanager
def _telling(repo: str, hub: Any) -> Iterator[None]:
    """Say in one line, without the token, why the Hub did not do it. Its client's errors have no class in common."""
    try:
        yield
    except SkillError:
        raise
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        why = _WHY.get(type(error).__name__) or _STATUS.get(status) or f"{type(error).__name__}: {error}"
        for secret in filter(None, [hub.get_token()]):
            why = why.replace(secret, "...")
        raise SkillError(f"{short(repo)}: {short(' '.join(why.split()), 300)}") from error
