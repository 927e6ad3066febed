import os

import pytest
import telecmi_cdr


@pytest.mark.parametrize("number", range(int(os.environ["TESTS"])))
def test_only_its_own_cdr_arrives(number, telecmi_listener, telecmi_send):
    telecmi_send(telecmi_listener.url, custom=f"test {number}")
    [exchange] = telecmi_listener.wait(custom=f"test {number}", timeout=60)
    assert telecmi_listener.exchanges == [exchange]


def test_a_listener_has_after_its_end_what_came_before(telecmi_send):
    with telecmi_cdr.listen(fail_first=1) as listener, pytest.raises(AssertionError, match="answered 503"):
        telecmi_send(listener.url)
    assert len(listener.exchanges) == 1
    with pytest.raises(AssertionError, match="before the listener ended"):
        listener.wait(count=2)
