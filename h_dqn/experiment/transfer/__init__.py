"""Does a skill help elsewhere? Who can do what without training, what a start from a skill saves, and whom controllers use."""

from h_dqn.experiment.transfer.measure import Transfer, new_transfer, transfer
from h_dqn.experiment.transfer.plan import TrainingPlan, TransferPlan

__all__ = ["TrainingPlan", "Transfer", "TransferPlan", "new_transfer", "transfer"]
