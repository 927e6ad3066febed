from dialler import place_a_call


def test_a_missed_call_is_reported(telecmi_listener):
    place_a_call(telecmi_listener.url + "/webhook/cdr")
    [exchange] = telecmi_listener.wait(count=1, timeout=5, status="missed")
    assert exchange["cdr"]["leg"] == "a"


def test_the_handler_takes_both_legs(telecmi_send, handler_url):
    deliveries = telecmi_send(handler_url, scenario="customer-rejected")
    assert [delivery["cdr"]["leg"] for delivery in deliveries] == ["b", "a"]


def test_the_handler_takes_what_telecmi_sends(telecmi_suite):
    telecmi_suite(["python3", "handler.py"], only="accepts")
