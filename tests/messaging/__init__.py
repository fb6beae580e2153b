"""Messages between services: what the README promises of them."""

import pytest

pytest.register_assert_rewrite("tests.messaging.toys")
