import pytest
import telecmi_cdr


@pytest.fixture
def handler_url():
    with telecmi_cdr.listen() as handler:
        yield handler.url + "/webhook/cdr"
