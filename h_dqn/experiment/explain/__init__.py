"""``h-dqn explain``: what an agent has learned, where it fails, and what it looks at, as data and as a page."""

from h_dqn.experiment.explain.explain import ExplainConfig, Explanation, explain_agent, link, write
from h_dqn.experiment.explain.subgoals import export

__all__ = ["ExplainConfig", "Explanation", "explain_agent", "export", "link", "write"]
