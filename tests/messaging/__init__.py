"""Messages between services: what DESIGN.md promises of them."""

import pytest

pytest.register_assert_rewrite("tests.messaging.toys")
