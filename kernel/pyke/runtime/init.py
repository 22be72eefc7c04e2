"""From a bundle to a running process: what the monitor does to have a child, and what that child does to become a container.

The story, as the monitor tells it:

    pid = init.fork(bundle)                      # 0 in the child, which is in its namespaces and in its cgroup already
    if pid == 0:
        ... put stdin, stdout and stderr in place (with a tty: anything, they are replaced) ...
        init.run(bundle, report, wait_for_go)    # never returns
    ... "created" is true from here on: /proc/PID/ns/net exists ...
    {"event": "ready"} arrives on the other end of `report`, a SOCK_SEQPACKET socket; with a tty {"event": "terminal"} before it,
        with the master of the pty as SCM_RIGHTS
    ... write one byte to the other end of `wait_for_go` (or close it, to abort) ...
    `report` ends without a further packet: the exec has succeeded; {"event": "failed", "message", "hint", "exit_status"}: it has not

and for `exec`, the same with `fork_exec(bundle)` and `run_exec(bundle, report)`, where nothing is waited for. `cgroup(bundle)` is the
container's cgroup: its `oom_events()`, `kill_all()` and `remove()` are the monitor's to call when the process has ended.

The child dies with the monitor (PR_SET_PDEATHSIG). The executable of the process that calls `fork` must be sealed
(`pyke.runtime.sealed.execute`), because a container sees it as /proc/self/exe for a moment (CVE-2019-5736): `run` and `run_exec`
refuse to go on otherwise.
"""
