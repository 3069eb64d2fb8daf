"""Does a skill help elsewhere? Who can do what without training, what a start from a skill saves, and whom controllers use."""

from h_dqn.experiment.transfer.plan import TrainingPlan, TransferPlan
from h_dqn.experiment.transfer.transfer import Transfer, new_transfer, transfer

__all__ = ["TrainingPlan", "Transfer", "TransferPlan", "new_transfer", "transfer"]
