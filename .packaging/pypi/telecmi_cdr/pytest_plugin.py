"""Fixtures for pytest, which loads this module by its entry point."""
import pytest

import telecmi_cdr


@pytest.fixture
def telecmi_listener(request):
    """A receiver of CDRs on a free port, for this test alone; indirect parameters are its flags."""
    with telecmi_cdr.listen(**getattr(request, "param", {})) as listener:
        yield listener


@pytest.fixture
def telecmi_send():
    """`send(url, scenario=..., **flags)`: delivers CDRs, and returns the records of the deliveries."""
    return telecmi_cdr.send


@pytest.fixture
def telecmi_suite():
    """`suite(handler, **flags)`: tests the handler at a URL, or one that a list of words starts, and returns the records of the cases."""
    return telecmi_cdr.suite
