"""What a person does with worlds, learner and library, as Python calls. The command line turns flags into these."""
