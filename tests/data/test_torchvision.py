"""torchvision's data sets work also where its compiled operators do not."""

from __future__ import annotations

from runner.data._torchvision import import_datasets


def test_datasets_can_be_imported_twice():
    assert import_datasets() is import_datasets()
    assert hasattr(import_datasets(), "MNIST")
