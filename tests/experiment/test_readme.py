"""The tables of experiments in the documents are up to date."""

import pytest

from damoos.experiment.readme import README, page_of, published, renewed_page, renewed_readme


def test_the_list_of_experiments_is_up_to_date() -> None:
    assert renewed_readme(README) == README.read_text(encoding="utf-8"), "run python -m damoos.experiment.readme"


@pytest.mark.parametrize("name", published())
def test_published_results_are_on_the_page(name: str) -> None:
    page = page_of(name)
    assert renewed_page(page, name) == page.read_text(encoding="utf-8"), "run python -m damoos.experiment.readme"
