import pytest
import telecmi_cdr


def test_wait(telecmi_listener, telecmi_send):
    telecmi_send(telecmi_listener.url, "customer-no-answer", seed=7, at="2026-11-22T09:00:00Z", set={"custom": "none"})
    telecmi_listener.wait(count=2, timeout=0.2, status="missed")


@pytest.mark.parametrize("telecmi_listener", [{"status": 500, "body": "no database"}], indirect=True)
def test_send(telecmi_listener, telecmi_send):
    telecmi_send(telecmi_listener.url, scenario="docs-leg-a")


@pytest.mark.parametrize("telecmi_listener", [{"status": 500, "body": "no database"}], indirect=True)
def test_suite(telecmi_listener, telecmi_suite):
    telecmi_suite(telecmi_listener.url, only="post-is-accepted", seed=7, at="2026-11-22T09:00:00Z")


def test_flags():
    telecmi_cdr.listen(fail_frist=2)
