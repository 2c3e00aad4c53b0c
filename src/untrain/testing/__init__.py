"""Does a generator of your own keep the contract? Checks to run on it, in Python or with pytest.

Examples
--------
In a test file, a test for each check::

    import pytest
    from untrain.testing import generator_checks

    @pytest.mark.parametrize("check", generator_checks(MyGenerator), ids=str)
    def test_my_generator(check):
        check()
"""

from untrain.testing.checks import check_generator, generator_checks

__all__ = ["check_generator", "generator_checks"]
