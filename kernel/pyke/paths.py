"""Where an engine keeps things: everything follows from its root, so that engines on one machine never meet.

Imported on the way of every command: nothing but os.
"""

import os

DEFAULT_ROOT = "/var/lib/pyke"
DEFAULT_RUN = "/run/pyke"


class Layout:
    """The paths and names of one engine. `root` holds what must survive a reboot, `run` what must not."""

    def __init__(self, root: str = "") -> None:
        self.root = os.path.abspath(root or os.environ.get("PYKE_ROOT") or DEFAULT_ROOT)
        self.is_default = self.root == DEFAULT_ROOT
        self.run = DEFAULT_RUN if self.is_default else os.path.join(self.root, "run")
        self.socket = os.path.join(self.run, "pyke.sock")  # the Engine API
        self.lock = os.path.join(self.run, "engine.lock")  # held by the engine as long as it lives
        self.engine_log = os.path.join(self.root, "engine.log")
        self.spawner_socket = os.path.join(self.run, "spawner.sock")
        self.database = os.path.join(self.root, "pyke.db")
        self.content = os.path.join(self.root, "oci")
        self.containers = os.path.join(self.root, "containers")
        self.container_runs = os.path.join(self.run, "containers")
        self.config = "/etc/pyke/config.yaml" if self.is_default else os.path.join(self.root, "config.yaml")

    @property
    def tag(self) -> str:
        """ "" for the main engine, else six hexadecimal digits that keep its bridges, tables and cgroups apart from others'."""
        if self.is_default:
            return ""
        import hashlib  # not on the way of a command

        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:6]

    @property
    def cgroup(self) -> str:
        """The cgroup below which all containers of this engine live."""
        return f"pyke-{self.tag}" if self.tag else "pyke"

    def container_directory(self, container: str) -> str:
        """What a container keeps between runs: its log, hosts, resolv.conf, hostname and exit record."""
        return os.path.join(self.containers, container)

    def container_run_directory(self, container: str) -> str:
        """What a running container needs: its bundle and its monitor's socket."""
        return os.path.join(self.container_runs, container)
