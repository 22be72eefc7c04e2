"""What pyke sees first. Keep it light: it is imported by every engine; `driver.py` is imported when a container needs it."""

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_network_drivers() -> list[Driver]:
    return [Driver("none", "pyke_network_none.driver:NoneDriver", "nothing but a loopback interface")]
