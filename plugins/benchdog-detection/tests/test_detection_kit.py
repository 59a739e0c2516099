"""The components conform to the contract."""

from benchdog.testing import conforms

test_task_conforms = conforms("task", "detection")
test_model_conforms = conforms("model", "detector")
