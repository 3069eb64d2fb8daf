"""What helps a learner through tasks that change: methods through the seam of :mod:`h_dqn.learners.method`, a file each."""
